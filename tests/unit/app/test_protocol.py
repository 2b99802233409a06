#!/usr/bin/python3
"""The chat's protocol is written down three times: the program's tables, docs/chat.md and web/src/protocol.ts are the same."""
import json
import os
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT / "tests/unit/tools"))
import tap  # noqa: E402

PROGRAM = json.loads(subprocess.run([pathlib.Path(os.environ["BUILD"], "tests/unit/print_protocol")], check=True,
    capture_output=True, text=True, env={}).stdout)
DOCS = (ROOT / "docs/chat.md").read_text()
WEB = (ROOT / "web/src/protocol.ts").read_text()
# What protocol.ts calls a type -> what the program does. A number is an integer of at least 0.
WEB_TYPES = {"id": "integer", "number": "integer", "string": "string", "boolean": "boolean", "object": "object"}


def equal(is_, wanted):
    assert is_ == wanted, f"{is_} is not {wanted}"


def same(one, other, what):
    """Two dictionaries; what differs is named."""
    wrong = [f"{what} {key}: {one.get(key)} here, {other.get(key)} there" for key in sorted({*one, *other})
        if one.get(key) != other.get(key)]
    assert not wrong, "; ".join(wrong)


def section(title):
    """Of docs/chat.md, to the next heading."""
    found = re.search(rf"^## {re.escape(title)}$(.*?)(?=^## |\Z)", DOCS, re.M | re.S)
    assert found, f"docs/chat.md has no section {title}"
    return found[1]


def rows(title):
    """The cells of a section's first table, without its head."""
    lines = [line for line in section(title).splitlines() if line.startswith("|")]
    assert len(lines) > 3, f"docs/chat.md: {title} has no table"
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def docs_args(cell):
    """`room`, `before?` -> {"room": False, "before": True}: whether it is optional. `{name}` are alternatives: all are."""
    args = {}
    for code in re.findall(r"`([^`]*)`", cell):
        alternative = re.fullmatch(r"\{(\w*)\}", code)
        if alternative:
            args.update({alternative[1]: True} if alternative[1] else {})
        else:
            name = re.match(r"(\w+)(\??)", code)
            args[name[1]] = bool(name[2]) or "{}" in cell.split(",")[0]
    return args


def docs_commands():
    return {name.strip("`"): docs_args(args) for name, args, _ in rows("Commands")}


def program_commands():
    return {c["name"]: {a["name"]: a["optional"] for a in c["args"]} for c in PROGRAM["commands"]}


def web_table(name):
    """A constant object of protocol.ts whose values are objects of texts, numbers or nothing: {key: {key: text}}."""
    found = re.search(rf"^export const {name} = \{{\n(.*?)^\}} as const;", WEB, re.M | re.S)
    assert found, f"protocol.ts has no {name}"
    table = {}
    for key, fields in re.findall(r"^  '?([\w.]+)'?: \{(.*?)\},?$", found[1], re.M | re.S):
        table[key] = dict(re.findall(r"'?([\w.]+)'?: '([^']*)'", fields))
    return table, found[1]


def test_docs_and_program_have_the_same_commands():
    same(program_commands(), docs_commands(), "command")


def test_web_and_program_have_the_same_commands():
    web, _ = web_table("COMMANDS")
    same({c["name"]: {a["name"]: (a["type"], a["optional"]) for a in c["args"]} for c in PROGRAM["commands"]},
        {name: {arg: (WEB_TYPES[type_.rstrip("?")], type_.endswith("?")) for arg, type_ in args.items()}
            for name, args in web.items()}, "command")


def test_every_declaration_of_a_command_in_the_web_has_its_arguments():
    """The types beside the table are made from it by hand."""
    found = re.search(r"^export interface Args \{\n(.*?)^\}", WEB, re.M | re.S)[1]
    typed = {}
    for name, fields in re.findall(r"^  '?([\w.]+)'?: \{(.*)\};$", found, re.M):
        plain = re.sub(r"<[^>]*>", "", fields)
        typed[name] = {arg: mark == "?" for arg, mark in re.findall(r"(?:^|;)\s*(\w+)(\??):", plain)}
    same(program_commands(), typed, "type of command")
    results = re.search(r"^export interface Results \{\n(.*?)^\}", WEB, re.M | re.S)[1]
    equal(set(re.findall(r"^  '?([\w.]+)'?:", results, re.M)), set(program_commands()))


def test_docs_and_program_have_the_same_errors():
    same({e["code"]: e["status"] for e in PROGRAM["errors"]},
        {code.strip("`"): int(status) for code, status, _ in rows("Errors")}, "error")


def test_web_and_program_have_the_same_errors():
    found = re.search(r"^export const ERROR_CODES = \[\n(.*?)^\] as const;", WEB, re.M | re.S)
    equal(re.findall(r"'(\w+)'", found[1]), [e["code"] for e in PROGRAM["errors"]])


def test_web_and_docs_have_the_same_events():
    web, _ = web_table("EVENTS")
    events = {name.strip("`"): argument for name, argument, _ in rows("Pushed")}
    equal(set(web), set(events))
    entry = re.search(r"^An entry is `\{(.*?)\}`;", section("Commands"), re.M | re.S)[1]
    fields = re.findall(r"(?:^|,)\s*(\w+)", re.sub(r"\{[^}]*\}", "", entry))
    equal({f.rstrip("?") for f in web["entry"]}, set(fields))
    equal({name for name, type_ in web["entry"].items() if type_.endswith("?")}, {"cid"})
    equal(list(web["typing"]), re.findall(r"(\w+)(?::|,)", re.sub(r"\{[^{}]*\}(?=\})", "", events["typing"])))
    equal(web["gap"], {})


def test_web_and_program_have_the_same_limits():
    web = dict(re.findall(r"^  (\w+): (\d+),", web_table("LIMITS")[1], re.M))
    program = PROGRAM["limits"]
    for name in ("text_bytes_max", "cid_chars_max", "name_chars_max", "history_default", "history_max", "typing_every_ms"):
        assert int(web[name]) == program[name], f"{name}: {web[name]} in the web, {program[name]} in the program"
    rooms = re.search(r"\bSYNC_ROOMS_MAX = (\d+)", (ROOT / "src/app/sync.c").read_text())
    equal(web["sync_rooms_max"], rooms[1])


def test_docs_and_program_have_the_same_limits():
    limits = PROGRAM["limits"]
    text = " ".join(DOCS.split())
    rooms = re.search(r"\bSYNC_ROOMS_MAX = (\d+)", (ROOT / "src/app/sync.c").read_text())[1]
    for phrase in (f"1 to {limits['text_bytes_max']:,} bytes of UTF-8", f"1 to {limits['cid_chars_max']} of `A-Z a-z 0-9 _ -`",
            f"at most `limit` ({limits['history_default']}; at most {limits['history_max']}, larger is clamped)",
            f"every {limits['typing_every_ms'] // 1000} s is enough", f"more than {limits['commands_max']} unanswered commands",
            f"{limits['reads_max']} unanswered reads", f"at most {rooms}, none twice;",
            f"holds at most {limits['page_bytes_max'] >> 10} KiB of them"):
        assert phrase in text, f"docs/chat.md does not say: {phrase}"
    expires = re.search(r"typing_expires_ms: (\d+)", WEB)[1]
    assert f"it expires after {int(expires) // 1000} s" in text


def test_web_asks_where_the_program_listens():
    api = re.search(r'prefix\[\] = "([^"]*)"', (ROOT / "src/app/api.c").read_text())[1]
    equal(re.search(r"^export const API = '([^']*)'", WEB, re.M)[1], api)
    assert f"`POST {api}<command>`" in DOCS
    equal(re.search(r"^export const NAMESPACE = '([^']*)'", WEB, re.M)[1], "/chat")
    assert 'sio_of(app->io, "/chat")' in (ROOT / "src/app/serve.c").read_text()


if __name__ == "__main__":
    tap.run(tap.of(sys.modules[__name__]))
