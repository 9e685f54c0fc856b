#!/usr/bin/env python3
"""Compares the names of latents with what they replaced, blind.

    runs/explorer-names.py sheet URL RUN FOLDER   # FOLDER/sheet.md for readers, FOLDER/key.json for you
    runs/explorer-names.py count FOLDER ANSWERS   # how often each kind of name was better

URL is a running hsae explore. The sheet has 50 latents of RUN, drawn with a seed from both levels among those that are
active in 30 rows or more. Each has two names in random order: the first four words at which it is strongest, and its name.
Below are the tokens it promotes and its strongest contexts. A reader writes ANSWERS, a line for each latent: `998.4: A`,
`998.4: B` or `998.4: tie`.
"""
import json
import os
import random
import sys
import urllib.parse
import urllib.request


def get(address):
    with urllib.request.urlopen(address) as answer:
        return json.load(answer)


def sheet(url, run, folder):
    base = f"{url.rstrip('/')}/api/v1/runs/{urllib.parse.quote(run, safe='')}"
    shape = get(base)["shape"]
    draw, parts, key = random.Random(7), [], {}
    for _ in range(10_000):
        if len(key) == 50:
            break
        expert = draw.randrange(shape["experts"])
        sublatent = draw.choice([None] * 8 + list(range(shape["sublatents"])))
        number = str(expert) if sublatent is None else f"{expert}.{sublatent}"
        detail = get(f"{base}/latents/{number}")
        latent = detail["latent"]
        if latent["count"] < 30 or number in key:
            continue
        names = [latent["name"], latent["words"][:4]]
        draw.shuffle(names)
        key[number] = "A" if names[0] is latent["name"] else "B"
        lines = [f"## Latent {number} (active in {latent['count']} rows)"]
        lines += [f"Name {letter}: {', '.join(name)}" for letter, name in zip("AB", names)]
        promoted = detail.get("promoted", {}).get("promoted", [])
        lines += ["", "Promoted tokens: " + ", ".join(token["text"] for token in promoted), "Contexts:"]
        for context in detail["strongest"][:14]:
            texts = [token["text"].replace("\u2581", " ") for token in context["tokens"]]
            texts[context["centre"]] = f"[[{texts[context['centre']]}]]"
            lines.append("- " + "".join(texts).replace("\n", " "))
        parts.append("\n".join(lines))
    os.makedirs(folder, exist_ok=True)
    with open(os.path.join(folder, "sheet.md"), "w") as file:
        file.write("\n\n".join(parts) + "\n")
    with open(os.path.join(folder, "key.json"), "w") as file:
        json.dump(key, file)


def count(folder, answers):
    key = json.load(open(os.path.join(folder, "key.json")))
    result = {"name": 0, "words": 0, "tie": 0}
    for line in open(answers):
        number, found, answer = line.strip().partition(": ")
        if found and number in key:
            result["tie" if answer == "tie" else "name" if answer == key[number] else "words"] += 1
    print(result)


if len(sys.argv) == 5 and sys.argv[1] == "sheet":
    sheet(*sys.argv[2:])
elif len(sys.argv) == 4 and sys.argv[1] == "count":
    count(*sys.argv[2:])
else:
    sys.exit(__doc__)
