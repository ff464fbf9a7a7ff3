"""Cooldowns of a bot's commands, shared by all of its shards, tuned in Tuneup's admin.

Needs discord.py and the client (`optimizer.client`: httpx and msgspec). In the admin make a scope
`command:*` (a bucket for each command) and a scope `guild`; then run it with TUNEUP_URL, TUNEUP_KEY
and DISCORD_TOKEN set.
"""

import os
from collections.abc import Callable

import discord
from discord.ext import commands

from optimizer.client import AsyncTuneup, TuneupError

tuneup = AsyncTuneup(os.environ["TUNEUP_URL"], os.environ["TUNEUP_KEY"])
bot = commands.Bot(command_prefix="!", intents=discord.Intents.default())


def shared_cooldown(cost: int = 1) -> Callable[..., object]:
    """Limit a command by user and by guild together; used as discord.py's own cooldown is.

    Unlike that one it holds over all shards and restarts, takes bursts, and an admin changes it
    while the bot runs. The user's tokens stay where the guild's are missing.
    """

    async def predicate(context: commands.Context[commands.Bot]) -> bool:
        assert context.command is not None  # noqa: S101  (a check runs for a command)
        charges = [(f"user:{context.author.id}", cost, f"command:{context.command.name}")]
        if context.guild is not None:
            charges.append((f"guild:{context.guild.id}", 1, "guild"))
        try:
            verdict = await tuneup.check_all(charges)
        except TuneupError:
            return True  # a limiter that is away is no reason to be silent
        if not verdict:
            wait = verdict.retry_after_seconds
            raise commands.CommandOnCooldown(
                commands.Cooldown(cost, wait), wait, commands.BucketType.user
            )
        return True

    return commands.check(predicate)


@bot.command()
@shared_cooldown(cost=2)
async def play(context: commands.Context[commands.Bot]) -> None:
    """Play something."""
    await context.send("Here it goes.")


@bot.event
async def on_command_error(
    context: commands.Context[commands.Bot], error: commands.CommandError
) -> None:
    """Tell how long to wait."""
    if isinstance(error, commands.CommandOnCooldown):
        await context.send(f"Please wait {error.retry_after:.1f} s.")


if __name__ == "__main__":
    bot.run(os.environ["DISCORD_TOKEN"])
