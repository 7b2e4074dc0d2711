"""Questions of customers: what they ask for, in the catalogue's own words, and what an answer may say.

question ─► plan (data) ─► items, by the recommender ─► views of their records ─► a template prints quotes of them
"""
