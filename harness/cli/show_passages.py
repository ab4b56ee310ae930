"""The passages where an artifact diverges most from the quality reference, as a person reads them.

Owns the layout. Contract: text from the database is never taken for markup; control characters are made visible.
"""

from __future__ import annotations

from typing import Any


def print_passages(console: Any, passages: list[dict[str, Any]]) -> None:
    """Print passages, worst first: the text with the worst token marked, and what each model would have said there."""
    from rich.padding import Padding
    from rich.text import Text

    first = passages[0]
    console.print(f"where it diverges most, in {first['corpus']} (run {first['run_id'][:12]}):", markup=False)
    for number, one in enumerate(passages, 1):
        text = Text(f"{number}. KLD {one['kld_mean']:.3g} nats a token  ", style="bold")
        console.print(text)
        after, token = visible(one["after"]), visible(one["token"])
        line = Text("…" + visible(one["before"]), style="dim")
        line.append(after, style="none")
        line.append(f"[{token}]", style="bold red")
        line.append(visible(one["text"][len(one["after"]) + len(one["token"]) :]), style="none")
        console.print(Padding(line, (0, 0, 0, 3)))
        said = Text(
            f"at [{token}] ({one['kld']:.3g} nats) the reference expected "
            f"[{visible(one['reference_says'])}], this artifact [{visible(one['artifact_says'])}]"
        )
        console.print(Padding(said, (0, 0, 0, 3)))


def visible(text: str) -> str:
    """The text with line ends and control characters as symbols."""
    return "".join(
        "↵" if character == "\n" else character if character.isprintable() else "·" for character in text
    )
