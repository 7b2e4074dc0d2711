"""What a policy is worth, told by a log of what shoppers did next. Only `recorded` knows Kafka.

    files, topics ─► log ─► moments ─┬─► questions: which sets are to be predicted, and what is in them
                                     └─► prequential: ask everyone, note the lists, and only then learn ─► trial
    trial ─► metrics ─► bootstrap ─► report, page

Policies run on the workers' own handlers and recommender (`state`); `baselines` stand beside them.
"""
