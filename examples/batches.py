"""A bot's scores, written in bulk: each message is one item, and none of them is a query.

Needs the client (`optimizer.client`: httpx and msgspec). In the admin make a batch job `scores`:
sink *model*, your model of scores, key fields such as `guild,user`. Then run it with TUNEUP_URL and
TUNEUP_KEY set; the batch processor takes the items, and its workers write them.
"""

import asyncio
import os

from optimizer.client import AsyncCollector, AsyncTuneup, JobFull, TuneupError

JOB = "scores"


async def on_message(batch: AsyncCollector, guild: int, user: int, number: int) -> None:
    """Note a user's score; it goes out with others, within a second."""
    try:
        await batch.add(
            {"guild": guild, "user": user, "score": number},
            # Of one message there is one item, whatever the bot repeats after a crash.
            key=f"{guild}-{user}-{number}",
            # For jobs that keep the order: the scores of one user are written as they came.
            order=f"{guild}-{user}",
        )
    except JobFull as error:
        print(f"Too much is waiting; try again in {error.retry_after_seconds or 1:g} s.")
    except TuneupError as error:
        print(f"This score is lost: {error}")


async def main() -> None:
    """Send some scores, and wait until they are written."""
    async with AsyncTuneup(os.environ["TUNEUP_URL"], os.environ["TUNEUP_KEY"]) as tuneup:
        async with tuneup.batches.collect(JOB) as batch:
            for number in range(5_000):
                await on_message(batch, guild=number % 7, user=number % 100, number=number)
        print(f"{batch.accepted} accepted, {batch.known} known before")
        run = await tuneup.batches.run(JOB)  # or leave it to the job's own size and age
        while run.state == "running":
            await asyncio.sleep(0.5)
            run = await tuneup.batches.run_state(JOB, run.id)
        print(f"{run.state}: {run.done} written, {run.failed} failed")
        for letter in (await tuneup.batches.dead_letters(JOB)).dead_letters:
            print(f"{letter.item}: {letter.error}")


if __name__ == "__main__":
    asyncio.run(main())
