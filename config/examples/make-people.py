#!/usr/bin/env python3
"""Creates the folder `people` next to this file: 500 sample accounts in 12 teams, with 3 kinds of licenses.

The content is the same every time, because it depends only on the seed. The people are invented; all addresses are at example.org.
"""

import csv
import random
from pathlib import Path

SEED = 20260101
PEOPLE = 500

FIRST_NAMES = """Amberly Bodkin Cressida Dovren Elspira Fennick Grizela Hobart Isolen Jorvik Kestrella Lumen Mirabo
Nettle Orsino Pipkin Quillon Rosamel Sindri Tamsel Ulfrid Verbena Wystan Xanthe Yorick Zephyra Åsmund Béatrine Çelina
Dúnstan""".split()
LAST_NAMES = """Applequist Brambleby Cloudsley Dunwhistle Emberlow Fogarthy Glimmerton Hollowick Inkwright Juniperson
Kettlewood Lanternby Mosswell Nightingdale Oatfield Pebblestone Quaverly Rumblethorpe Saltmarsh Thistledown Umberfield
Velvetine Wimbleford Yarrowby Zinnober O'Thimble Søholt-Pike""".split()
TEAMS = [
    "Accounts payable", "Bridges and tunnels", "Cheese tasting", "Data gardening", "Events", "Facilities",
    "Growth", "Help desk", "Internal audit", "Legal, and lost property", "Platform", "Research \"blue sky\"",
]
TITLES = ["Apprentice", "Clerk", "Coordinator", "Engineer", "Lead", "Manager", "Specialist"]
# Slug: the licenses of the type, each with how many seats it has (none: any number) and the share of people.
LICENSES = {
    "mail": [("mail-basic", "Mail, basic", "", 0.80), ("mail-archive", "Mail with archive", 150, 0.15)],
    "crm": [("crm-viewer", "CRM, viewer", "", 0.20), ("crm-editor", "CRM, editor", 60, 0.08)],
    "design": [("design-suite", "Design suite", 40, 0.05)],
}
ASCII = str.maketrans({"å": "a", "é": "e", "ç": "c", "ú": "u", "ø": "o", "'": None})


def write(path, header, rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(rows)


def main():
    chance = random.Random(SEED)
    folder = Path(__file__).parent / "people"
    folder.mkdir(exist_ok=True)

    write(folder / "team.csv", ["id", "name"], [(f"team-{n:02}", name) for n, name in enumerate(TEAMS, 1)])
    for slug, licenses in LICENSES.items():
        rows = [(id, name, seats) for id, name, seats, _ in licenses]
        write(folder / f"license-{slug}.csv", ["id", "name", "seats"], rows)

    names = [(first, last) for first in FIRST_NAMES for last in LAST_NAMES]
    taken = {id: 0 for licenses in LICENSES.values() for id, *_ in licenses}
    rows = []
    for number, (first, last) in enumerate(chance.sample(names, PEOPLE), 1):
        username = f"{first}.{last}".lower().translate(ASCII)
        status = chance.choices(["active", "suspended", "inactive"], [94, 4, 2])[0]
        teams = chance.sample(range(1, len(TEAMS) + 1), chance.choices([1, 2, 3], [70, 25, 5])[0])
        assigned = []
        for licenses in LICENSES.values():
            held = []
            for id, _, seats, share in licenses:
                if chance.random() < share and (seats == "" or taken[id] < seats):
                    taken[id] += 1
                    held.append(id)
            assigned.append(";".join(held))
        rows.append([
            f"p{number:04}", f"{username}@example.org", username, first, last, f"{first} {last}", status,
            ";".join(f"team-{team:02}" for team in sorted(teams)), *assigned, "",
            chance.choice(TITLES), f"CC-{chance.randint(100, 120)}",
        ])
    header = [
        "id", "email", "username", "first_name", "last_name", "display_name", "status", "team", *LICENSES,
        "password_changed_at", "title", "cost_centre",
    ]
    write(folder / "accounts.csv", header, rows)


if __name__ == "__main__":
    main()
