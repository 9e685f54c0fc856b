#!/usr/bin/env python3
# Checks relative links in the Markdown files, and rewrites them for the site.
#
#   scripts/links.py check [ROOT]        every relative link in README.md, CONTRIBUTING.md, dev/LOG.md and
#                                        docs/**/*.md leads to a file, folder or heading that exists (part of
#                                        make test)
#   scripts/links.py site ROOT PAGES     writes those files and interop/ to the folder PAGES with links for the
#                                        site; a link to a file outside the site becomes plain text
#   scripts/links.py test                tests this script
import os
import re
import shutil
import sys
import tempfile

# Code, in which brackets are not links: fenced blocks and spans.
CODE = re.compile(r"^(?P<fence>```+|~~~+).*?^(?P=fence)[ \t]*$|(?P<ticks>`+)(?!`).+?(?<!`)(?P=ticks)(?!`)", re.M | re.S)
LINK = re.compile(r"!?\[(?P<text>[^\[\]]*)\]\((?P<target>[^()\s]+)(?:\s+\"[^\"]*\")?\)")
# Files whose path in the site is not their own without "docs/".
MOVED = {
    "README.md": "readme.md",
    "CONTRIBUTING.md": "contributing.md",
    "dev/LOG.md": "log.md",
    "docs/decisions": "decisions/0001-one-model.md",
}


def files(root):
    """The Markdown files whose links are checked, as paths under `root`."""
    found = [name for name in ("README.md", "CONTRIBUTING.md", "dev/LOG.md") if os.path.exists(os.path.join(root, name))]
    for folder, _, names in os.walk(os.path.join(root, "docs")):
        found += [os.path.relpath(os.path.join(folder, name), root) for name in names if name.endswith(".md")]
    return sorted(found)


def read(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as file:
        return file.read()


def without_code(text):
    """`text` with code replaced by blanks, so that all places stay the same."""
    return CODE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)


def links(text):
    """Relative links in `text`: the place, words and target of each."""
    for match in LINK.finditer(without_code(text)):
        if not re.match(r"[a-z][a-z0-9+.-]*:|/", match["target"], re.I):
            yield match.span(), text[slice(*match.span("text"))], match["target"]


def anchors(text):
    """The anchors of the headings in `text`, as GitHub makes them."""
    names = set()
    fenced = re.sub(r"^(```+|~~~+).*?^\1[ \t]*$", "", text, flags=re.M | re.S)
    for heading in re.findall(r"^#{1,6}[ \t]+(.+?)[ \t#]*$", fenced, re.M):
        words = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", words.lower()).replace(" ", "-")
        number = 0
        while (unique := name if number == 0 else f"{name}-{number}") in names:
            number += 1
        names.add(unique)
    return names


def destination(path, target):
    """The file or folder that `target` names in the file `path`, as a path under the root, and the heading."""
    place, _, heading = target.partition("#")
    if not place:
        return path, heading
    return os.path.normpath(os.path.join(os.path.dirname(path), place)), heading


def check(root):
    """One message for each link that leads nowhere."""
    sentences = []
    for path in files(root):
        text = read(root, path)
        for (start, _), _, target in links(text):
            found, heading = destination(path, target)
            where = f"{path}:{text.count(chr(10), 0, start) + 1}"
            if found.startswith("..") or not os.path.exists(os.path.join(root, found)):
                sentences.append(f"{where}: the link {target} leads to nothing.")
            elif heading and found.endswith(".md") and heading not in anchors(read(root, found)):
                sentences.append(f"{where}: {found} has no heading #{heading}.")
    return sentences


def page(path, root):
    """The site's path of the file or folder `path`; None if it is not part of the site."""
    if path in MOVED:
        return MOVED[path]
    whole = os.path.join(root, path)
    if path.startswith("docs/") and os.path.isfile(whole):
        return path[len("docs/"):]
    return path if path.startswith("interop/") and os.path.isfile(whole) else None


def as_page(root, path):
    """The text of the file `path` with links for the site."""
    text, result, end = read(root, path), [], 0
    own = os.path.dirname(page(path, root))
    for (first, last), words, target in links(text):
        found, heading = destination(path, target)
        place = page(found, root)
        result.append(text[end:first])
        if place is None:
            result.append(words)
        else:
            way = os.path.relpath(place, own or ".") if target.partition("#")[0] else ""
            mark = "!" if text[first] == "!" else ""
            result.append(f"{mark}[{words}]({way}{'#' + heading if heading else ''})")
        end = last
    return "".join(result) + text[end:]


def site(root, pages):
    for folder in ("docs", "interop"):
        if os.path.isdir(os.path.join(root, folder)):
            target = pages if folder == "docs" else os.path.join(pages, folder)
            shutil.copytree(os.path.join(root, folder), target, dirs_exist_ok=True)
    for path in files(root):
        with open(os.path.join(pages, page(path, root)), "w", encoding="utf-8") as file:
            file.write(as_page(root, path))


def test():
    with tempfile.TemporaryDirectory() as root:
        def write(path, text):
            os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
            with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                file.write(text)

        write("Sources/a.swift", "")
        write("interop/a.py", "")
        write("CONTRIBUTING.md", "# One `two`: three!\n\n## Again\n\n## Again\n\n```\n# no heading\n```\n")
        write("docs/deep/b.md", "[up](../../README.md) ![x](b.svg) [code](../../Sources/a.swift#L1) [py](../../interop/a.py)\n")
        write("docs/deep/b.svg", "")
        write("README.md", "[`a` and\nb](docs/deep/b.md) [s](Sources) [c](CONTRIBUTING.md#one-two-three) [d](#here)\n## Here\n"
              "[e](CONTRIBUTING.md#again-1) [w](https://example.org/none) `[no](none)`\n```\n[no](none)\n```\n")
        assert check(root) == [], check(root)
        pages = os.path.join(root, "pages")
        site(root, pages)
        readme, deep = read(pages, "readme.md"), read(pages, "deep/b.md")
        assert readme.startswith("[`a` and\nb](deep/b.md) s [c](contributing.md#one-two-three) [d](#here)\n"), readme
        assert readme.endswith("[w](https://example.org/none) `[no](none)`\n```\n[no](none)\n```\n"), readme
        assert deep == "[up](../readme.md) ![x](b.svg) code [py](../interop/a.py)\n", deep
        assert os.path.exists(os.path.join(pages, "interop/a.py"))

        write("docs/c.md", "\n[a](none.md) [b](../README.md#none) [c](../CONTRIBUTING.md#no-heading) [d](../../../etc)\n")
        found = check(root)
        assert len(found) == 4 and all(sentence.startswith("docs/c.md:2: ") for sentence in found), found


def main(arguments):
    here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    match arguments:
        case ["check", *rest] if len(rest) <= 1:
            sentences = check(rest[0] if rest else here)
            for sentence in sentences:
                print(sentence, file=sys.stderr)
            return 1 if sentences else 0
        case ["site", root, pages]:
            site(root, pages)
        case ["test"]:
            test()
        case _:
            print("usage: scripts/links.py check [ROOT] | site ROOT PAGES | test", file=sys.stderr)
            return 64
    return 0


sys.exit(main(sys.argv[1:]))
