r"""The table for LaTeX, with booktabs: ``\usepackage{booktabs}`` is all that it needs.

Contract: every engine sets it. XeLaTeX and LuaLaTeX set letters that pdfLaTeX does not know, with a font that has them;
in pdfLaTeX these are their numbers.
"""

from __future__ import annotations

from harness.table.view import View

_ESCAPES = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "±": r"\ensuremath{\pm}", "×": r"\ensuremath{\times}",
    "†": r"\textdagger{}", "‡": r"\textdaggerdbl{}", "–": "--", "µ": r"\ensuremath{\mu}", "[": "{[}", "]": "{]}",
    # With the default font encoding \textquotedbl is undefined; two apostrophes look the same.
    '"': "''",
}  # fmt: skip


def escape(text: str) -> str:
    """Text that LaTeX sets as it is."""
    return "".join(_set(character) for character in " ".join(text.split()))


def _set(character: str) -> str:
    if character in _ESCAPES:
        return _ESCAPES[character]
    # ASCII, Latin-1 without its control characters, Latin Extended-A: what LaTeX's utf8 declares for its default fonts.
    if character < "\x7f" or "\xc0" <= character <= "\u017f" or character in "§¶":
        return character
    return rf"\ifdefined\Umathchar {character}\else {{[}}U+{ord(character):04X}{{]}}\fi{{}}"


def render_latex(view: View) -> str:
    """A table environment with its notes below it."""
    shape = "".join("r" if column.figures else "l" for column in view.columns)
    lines = [
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{escape(view.title)}}}",
        rf"  \begin{{tabular}}{{{shape}}}",
        r"    \toprule",
        "    " + " & ".join(escape(column.title) for column in view.columns) + r" \\",
        r"    \midrule",
    ]
    lines += ["    " + " & ".join(escape(text) for text in row) + r" \\" for row in view.body]
    lines += [r"    \bottomrule", r"  \end{tabular}"]
    for section in view.sections:
        lines.append(rf"  \par\smallskip\footnotesize\raggedright\textbf{{{escape(section.title)}.}}")
        lines += [f"  {escape(line)}" + r"\par" for line in section.lines]
    lines.append(r"\end{table}")
    return "\n".join(lines) + "\n"
