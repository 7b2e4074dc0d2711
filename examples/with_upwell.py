"""The same as producer.py and consumer.py with Upwell's own helper: typed records, ids and keys made, nothing twice.

pip install upwell
python examples/with_upwell.py anna view hammer-16oz
python examples/with_upwell.py anna ask 'how much is the claw hammer?'
"""

import asyncio
import os
import sys

from streams.client import Answers, Producer, Recommendations, event, question

BOOTSTRAP = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092")
SHOP = os.environ.get("UPWELL_SHOP", "shop")
PATIENCE_S = 60.0


async def look(user: str, kind: str, item: str) -> None:
    """Send an event, and print what is recommended after it."""
    happened = event(kind, user=user, item=item)
    async with Recommendations(BOOTSTRAP, shop=SHOP) as recommendations, Producer(BOOTSTRAP, SHOP) as producer:
        await producer.events(happened)
        async for found in recommendations:
            if found.trigger.event == happened.id:
                print(f"for {found.user}")
                for place in found.items:
                    print(f"{place.rank:3} {place.item:24} {place.reasons[0].text}")
                return


async def ask(user: str, text: str) -> None:
    """Ask a question, and print the answer."""
    asked = question(text, user=user)
    async with Answers(BOOTSTRAP, shop=SHOP) as answers, Producer(BOOTSTRAP, SHOP) as producer:
        await producer.questions(asked)
        async for answer in answers:
            if answer.question == asked.id:
                print(answer.text)
                return


if __name__ == "__main__":
    user, kind, what = sys.argv[1:4]
    asyncio.run(asyncio.wait_for(ask(user, what) if kind == "ask" else look(user, kind, what), PATIENCE_S))
