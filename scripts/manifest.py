#!/usr/bin/env python3
"""Fails if a target imports a module of ours that Package.swift does not declare for it, declares one that it does
not import, or imports the C library outside HSAEPlatform."""

import json
import pathlib
import re
import subprocess

IMPORT = re.compile(r"^[ \w@]*\bimport +(?:(?:struct|class|enum|protocol|func|var|let) +)?(\w+)", re.M)
package = json.loads(subprocess.check_output(["swift", "package", "dump-package"]))
declared = {
    target["name"]: {next(iter(item.values()))[0] for item in target["dependencies"]} for target in package["targets"]
}
known = set(declared).union(*declared.values())
wrong = []
for target in package["targets"]:
    name = target["name"]
    folder = pathlib.Path(target.get("path") or ("Tests" if target["type"] == "test" else "Sources") + "/" + name)
    left_out = [folder / item for item in target["exclude"]]
    files = [file for file in folder.rglob("*.swift") if not any(file.is_relative_to(item) for item in left_out)]
    imports = {module for file in files for module in IMPORT.findall(file.read_text())}
    if name != "HSAEPlatform":
        wrong += [f"{name} imports {module}; call HSAEPlatform" for module in imports & {"Glibc", "Musl", "Darwin"}]
    if files:
        wrong += [f"{name} imports {module} and does not declare it" for module in imports & known - declared[name]]
        wrong += [f"{name} declares {module} and does not import it" for module in declared[name] - imports - {"HSAETestSupport"}]
print(*sorted(wrong), sep="\n", end="\n" if wrong else "")
raise SystemExit(bool(wrong))
