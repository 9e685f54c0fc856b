#!/usr/bin/env python3
"""Writes the command line's reference from the program's own help: manual pages, or Markdown.

    scripts/manual.py HSAE man FOLDER [DATE]      hsae.1, hsae-train.1, ...; DATE is 2026-11-23
    scripts/manual.py HSAE markdown FILE

HSAE is the executable; ArgumentParser's --experimental-dump-help gives its options as JSON.
"""

import json
import os
import re
import subprocess
import sys
import textwrap

ENVIRONMENT = [
    ("HSAE_CACHE", "The folder of fetched models and corpora and of converted weights. Default: hsae in "
     "XDG_CACHE_HOME, or in ~/.cache."),
    ("HSAE_PROGRESS_SECONDS", "Seconds between the lines that say where long work is, if standard error is not a terminal. "
     "Default: 60."),
    ("HSAE_ISA", "The instruction set of the inner loops: generic, avx2 or avx512. Default: the best here."),
]
EXIT = [
    ("0", "Success."),
    ("64", "The command line or a configuration is wrong."),
    ("65", "The content of an input is wrong."),
    ("66", "An input does not exist."),
    ("69", "Something needed is not available: a processor feature, a tool, memory, a network."),
    ("70", "A bug in the program."),
    ("73", "An output cannot be created."),
    ("74", "Reading or writing failed, such as on a full disk."),
    ("75", "A failure that may pass, such as a download that broke off; try again later."),
    ("130, 143", "Ctrl-C or SIGTERM ended it; finished work is kept, and most commands can resume."),
]


def names(argument):
    """How an argument is written: DATA; --out; or -h, --help."""
    if argument["kind"] == "positional":
        return [f"<{argument['valueName']}>"]
    return [("--" if n["kind"] == "long" else "-") + n["name"] for n in argument["names"]]


def synopsis(argument):
    written = names(argument)[-1]
    if argument["kind"] == "option":
        written += f" <{argument['valueName']}>"
    if argument["isRepeating"]:
        written += " ..."
    return f"[{written}]" if argument["isOptional"] else written


def usage(arguments):
    """The required arguments, and [options]."""
    given = [a for a in arguments if not a["isOptional"] or a["kind"] == "positional"]
    return " ".join([synopsis(a) for a in given] + ["[options]"])


def described(argument):
    """The help of an argument, with its values and its default."""
    text = argument.get("abstract", "")
    values = argument.get("allValues")
    default = argument.get("defaultValue")
    notes = []
    if values and not all(v in text for v in values):
        notes.append("values: " + ", ".join(values))
    if default not in (None, ""):
        notes.append("default: " + default)
    return text + (f" ({'; '.join(notes)})" if notes else "")


def shown(command, key):
    return [x for x in command.get(key, []) if x.get("shouldDisplay", True)]


def sections(command):
    """The arguments by section title; those without one are under Arguments or Options."""
    result = {}
    for argument in shown(command, "arguments"):
        title = argument.get("sectionTitle") or (
            "Arguments" if argument["kind"] == "positional" else "Options")
        result.setdefault(title, []).append(argument)
    return result


def blocks(text):
    """The paragraphs of a discussion; indented ones are lists of lines."""
    for paragraph in re.split(r"\n\s*\n", text.strip("\n")):
        lines = []
        for line in paragraph.split("\n"):
            indented = line.startswith("  ")
            if lines and lines[-1][0] == indented and not indented:
                lines[-1] = (indented, lines[-1][1] + " " + line)
            else:
                lines.append((indented, line.strip()))
        yield lines


# Manual pages -----------------------------------------------------------------------------------


def roff(text):
    for plain, escape in [("\\", "\\e"), ("-", "\\-"), ("~", "\\(ti"), ("^", "\\(ha"), ("`", "\\(ga"),
                          ("'", "\\(aq")]:
        text = text.replace(plain, escape)
    lines = textwrap.wrap(text, 60, break_long_words=False, break_on_hyphens=False)
    return "\n".join("\\&" + line if line.startswith(".") else line for line in lines)


def tagged(pairs):
    lines = []
    for tag, text in pairs:
        lines += [".TP", f"\\fB{roff(tag)}\\fR", roff(text)]
    return lines


def manual_page(path, command, version, date, siblings):
    name, title = " ".join(path), "-".join(path)
    page = [f'.TH {roff(title.upper())} 1 {date} "{version}" "User Commands"', ".ad l", ".nh", ".SH NAME",
            roff(f"{title} - {command['abstract'].rstrip('.')}"), ".SH SYNOPSIS"]
    subcommands = shown(command, "subcommands")
    arguments = [a for a in shown(command, "arguments") if names(a)[-1] not in ("--help", "--version")]
    if subcommands:
        page += [f"\\fB{name}\\fR \\fIsubcommand\\fR [\\fIoptions\\fR]", ".br",
                 f"\\fB{name} \\-\\-version\\fR"]
    else:
        page += [".HP", f"\\fB{roff(name)}\\fR", roff(usage(arguments))]
    page.append(".SH DESCRIPTION")
    page.append(roff(command["abstract"]))
    for paragraph in blocks(command.get("discussion", "")) if command.get("discussion") else []:
        page.append(".PP")
        for indented, line in paragraph:
            page += [".RS 4\n" + roff(line) + "\n.RE"] if indented else [roff(line)]
    if subcommands:
        page += [".SH COMMANDS", "Each has its own page, such as \\fBhsae\\-train\\fR(1)."]
        page += tagged((c["commandName"], c["abstract"]) for c in subcommands)
    for heading, found in sections(command).items():
        page.append(f'.SH "{roff(heading.upper())}"')
        page += tagged((", ".join(names(a)) + (f" <{a['valueName']}>" if a["kind"] == "option" else ""),
                        described(a)) for a in found)
    if subcommands:
        page += [".SH ENVIRONMENT"] + tagged(ENVIRONMENT)
        page += [".SH \"EXIT STATUS\""] + tagged(EXIT)
    others = [s for s in siblings if s != title]
    page += [".SH \"SEE ALSO\"", ",\n".join(f"\\fB{roff(s)}\\fR(1)" for s in others)]
    return "\n".join(page) + "\n"


def write_manual(root, version, folder, date):
    commands = [([root["commandName"]], root)]
    commands += [([root["commandName"], c["commandName"]], c) for c in shown(root, "subcommands")
                 if c["commandName"] != "help"]
    titles = ["-".join(path) for path, _ in commands]
    os.makedirs(folder, exist_ok=True)
    for path, command in commands:
        siblings = titles if len(path) == 1 else titles[:1]
        with open(os.path.join(folder, "-".join(path) + ".1"), "w", encoding="utf-8") as file:
            file.write(manual_page(path, command, version, date, siblings))


# Markdown ---------------------------------------------------------------------------------------


def mark(text):
    """Text without active markup: options as code, brackets and stars escaped."""
    text = text.replace("&", "&amp;").replace("<", "&lt;")
    text = re.sub(r"([*_\[\]\\`|])", r"\\\1", text)
    return re.sub(r"(?<![\w-])(--[a-z][\w-]*)", lambda m: "`" + m.group(1) + "`", text)


def write_markdown(root, version, path):
    page = ["# Command line", "",
            f"Every subcommand of `hsae`, with the same text as `hsae help SUBCOMMAND` and `man hsae-SUBCOMMAND` "
            f"({version}).", "", "| | |", "|---|---|"]
    commands = [c for c in shown(root, "subcommands") if c["commandName"] != "help"]
    page += [f"| [{c['commandName']}](#{c['commandName']}) | {mark(c['abstract'])} |" for c in commands]
    for command in commands:
        arguments = [a for a in shown(command, "arguments") if names(a)[-1] not in ("--help", "--version")]
        page += ["", f"## {command['commandName']}", "", mark(command["abstract"]), "", "```",
                 f"hsae {command['commandName']} {usage(arguments)}", "```"]
        for paragraph in blocks(command.get("discussion", "")) if command.get("discussion") else []:
            page.append("")
            for indented, line in paragraph:
                page.append(("- " if indented else "") + mark(line))
                if not indented:
                    page.append("")
        for heading, found in sections(command).items():
            found = [a for a in found if a in arguments]
            if not found:
                continue
            page += ["", f"| {heading} | |", "|---|---|"]
            for a in found:
                written = ", ".join(names(a)) + (f" <{a['valueName']}>" if a["kind"] == "option" else "")
                page.append(f"| `{written}` | {mark(described(a))} |")
    page += ["", "## Environment", "", "| | |", "|---|---|"]
    page += [f"| `{name}` | {mark(text)} |" for name, text in ENVIRONMENT]
    page += ["", "## Exit codes", "", "| | |", "|---|---|"]
    page += [f"| {code} | {mark(text)} |" for code, text in EXIT]
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(page) + "\n")


def main(arguments):
    if len(arguments) not in (3, 4) or arguments[1] not in ("man", "markdown"):
        sys.exit(__doc__)
    run = lambda *options: subprocess.run(
        [arguments[0], *options], check=True, capture_output=True, text=True).stdout
    root = json.loads(run("--experimental-dump-help"))["command"]
    version = " ".join(run("--version").split()[:2])
    if arguments[1] == "man":
        write_manual(root, version, arguments[2], arguments[3] if len(arguments) == 4 else "")
    else:
        write_markdown(root, version, arguments[2])


if __name__ == "__main__":
    main(sys.argv[1:])
