"""Works on symbol graphs of the library: finds undocumented public symbols, and makes snippets for docc.

    symbol-graphs.py undocumented GRAPH...    prints them, one a line, and fails if there are any
    symbol-graphs.py snippets FOLDER OUT      writes the snippets in FOLDER as a symbol graph

Symbols that the compiler makes or a type inherits (init(rawValue:), encode(to:), hash(into:)) need no
documentation. Snippets have SwiftPM's form: a first comment that describes, `// snippet.hide` and `// snippet.show`
around hidden parts, `// snippet.NAME` and `// snippet.end` around a named part.
"""

import json
import pathlib
import sys


def undocumented(paths):
    """Public symbols without a doc comment, by place."""
    found = {}
    for path in paths:
        graph = json.loads(pathlib.Path(path).read_text())
        inherited = {
            relation["source"]
            for relation in graph["relationships"]
            if "sourceOrigin" in relation
        }
        for symbol in graph["symbols"]:
            identifier = symbol["identifier"]["precise"]
            if symbol.get("docComment", {}).get("lines") or identifier in inherited:
                continue
            place = symbol.get("location")
            if place is None or "::SYNTHESIZED::" in identifier:
                continue  # made by the compiler
            file = place["uri"].removeprefix("file://").split("/Sources/")[-1]
            name = ".".join(symbol["pathComponents"])
            line = place["position"]["line"] + 1
            found[file, line, name] = f"Sources/{file}:{line}: {name} is public and has no doc comment"
    return [found[key] for key in sorted(found)]


def snippet(path):
    """One snippet file as a symbol."""
    described, lines, slices = [], [], {}
    hidden, begun, part = False, False, None
    for line in path.read_text().splitlines():
        text = line.strip()
        if text.startswith("// snippet."):
            marker = text.removeprefix("// snippet.")
            begun = True
            if marker in ("hide", "show"):
                hidden = marker == "hide"
            elif marker == "end" or part:
                slices[part] = [slices[part], len(lines)]
                part = None
            if marker not in ("hide", "show", "end"):
                part = marker
                slices[part] = len(lines)
        elif not begun and not lines and text.startswith("//"):
            described.append(text.removeprefix("//").strip())
        elif text == "// Prints:":
            break
        elif not hidden:
            lines.append(line)
    while lines and not lines[0].strip():
        lines.pop(0)
    while lines and not lines[-1].strip():
        lines.pop()
    name = path.stem
    return {
        "identifier": {"precise": f"$snippet__hsae.{name}", "interfaceLanguage": "swift"},
        "names": {"title": name},
        "pathComponents": [name],
        "docComment": {"lines": [{"text": text} for text in described]},
        "accessLevel": "public",
        "kind": {"identifier": "snippet", "displayName": "Snippet"},
        "snippet": {"language": "swift", "lines": lines, "slices": slices},
    }


def snippets(folder, out):
    """Writes the snippets of `folder`."""
    graph = {
        "metadata": {
            "formatVersion": {"major": 0, "minor": 1, "patch": 0},
            "generator": "symbol-graphs.py",
        },
        "module": {
            "name": "hsae",
            "platform": {"operatingSystem": {"name": "linux"}},
            "isVirtual": True,
        },
        "symbols": [snippet(path) for path in sorted(pathlib.Path(folder).glob("*.swift"))],
        "relationships": [],
    }
    pathlib.Path(out).write_text(json.dumps(graph))


if __name__ == "__main__":
    if sys.argv[1:2] == ["undocumented"]:
        missing = undocumented(sys.argv[2:])
        print("\n".join(missing), end="\n" if missing else "")
        sys.exit(1 if missing else 0)
    if sys.argv[1:2] == ["snippets"] and len(sys.argv) == 4:
        snippets(*sys.argv[2:])
    else:
        sys.exit(__doc__)
