"""Workflow commands of GitHub Actions, which it shows as annotations.

Sources: "Workflow commands for GitHub Actions" in GitHub's docs; for the escapes,
`packages/core/src/command.ts` of github.com/actions/toolkit.
"""

from collections.abc import Iterable, Iterator

from saliency_cli.gates import GateResult

MAX_ANNOTATIONS = 10
"""GitHub shows so many annotations of one kind for a step and drops the others silently."""


def failed_gates(results: Iterable[GateResult]) -> Iterator[bytes]:
    """Yield an error for each gate that failed, as many as are shown."""
    failed = [each for each in results if each.fails][:MAX_ANNOTATIONS]
    yield from (command("error", each.sentence, title="gate failed") for each in failed)


def warned_gates(results: Iterable[GateResult]) -> list[bytes]:
    """Return a warning for each gate that warned; one less than are shown, to leave room."""
    warned = [each for each in results if not each.fails and each.outcome != "passed"]
    shown = warned[: MAX_ANNOTATIONS - 1]
    return [command("warning", each.sentence, title="gate warned") for each in shown]


def command(name: str, message: str, *, title: str) -> bytes:
    """Return a workflow command that makes an annotation.

    Args:
        name: `error`, `warning` or `notice`.
        message: Its text.
        title: Its heading.
    """
    return f"::{name} title={escape_property(title)}::{escape_message(message)}\n".encode()


def escape_message(text: str) -> str:
    """Return the text, escaped as the message of a workflow command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def escape_property(text: str) -> str:
    """Return the text, escaped as the value of a workflow command's property."""
    return escape_message(text).replace(":", "%3A").replace(",", "%2C")
