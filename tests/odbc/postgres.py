#!/usr/bin/env python3
"""hedui-agent-odbc against a real PostgreSQL through psqlODBC: every cell, speed, memory, interruption, refusals.

    postgres.py BINARY [ROWS]      BINARY: hedui-agent-odbc; ROWS: 300000

Needs postgresql and odbc-postgresql (Debian's packages) and, as root, the user postgres; makes a server of its own in a
temporary folder and removes it. Exit code 0 if every row came over as the server itself writes it.
"""

import csv
import io
import json
import os
import pathlib
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time

PORT = "54329"
PASSWORD = "lesen;nur{lesen}"
TABLE = """
CREATE TABLE person AS SELECT
    g::bigint AS id,
    lpad((420525190001010000 + g)::text, 18, '0') AS id_number,
    CASE g % 7 WHEN 0 THEN '㐂𠮷' || g WHEN 1 THEN '阿·买提' || g ELSE '张' || chr(20000 + g % 20000) END AS name,
    CASE WHEN g % 2 = 0 THEN '男' ELSE '女' END AS sex,
    CASE WHEN g % 11 = 0 THEN NULL ELSE date '1950-01-01' + g % 20000 END AS birth,
    CASE WHEN g % 5 = 0 THEN NULL ELSE '1380717' || lpad((g % 10000)::text, 4, '0') END AS phone,
    '湖北省"远安"县, 鸣凤镇 凤山村' || chr(10) || g % 9 || '组 ' AS address,
    (g % 100000)::numeric(12, 2) / 7 AS amount
FROM generate_series(1, {rows}) g;
ALTER TABLE person ADD PRIMARY KEY (id);
CREATE TABLE twice AS SELECT 1 AS id, 'a' AS name UNION ALL SELECT 1, 'b';
CREATE TABLE long AS SELECT 1 AS id, repeat('长', 20000) AS name;
CREATE ROLE reader LOGIN PASSWORD '{password}';
GRANT SELECT ON person, twice, long TO reader;
"""
MAPPING = """version = 1
dataset = "police"
[source]
file = "person.csv"
[field.id]
columns = ["id_number"]
[field.name]
columns = ["name"]
[odbc]
connection = "Driver=PostgreSQL Unicode;Server=127.0.0.1;Port={port};Database=registers"
user = "{user}"
query = "{query}"
key = "{key}"
"""


class Server:
    def __init__(self, folder):
        self.data = folder / "data"
        found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda p: int(p.parent.name))
        self.bin = found[-1]
        self.folder = folder
        self.as_user = ["runuser", "-u", "postgres", "--"] if os.getuid() == 0 else []
        if self.as_user:
            shutil.chown(folder, "postgres")
        self.run("initdb", "-D", str(self.data), "-E", "UTF8", "--locale=C.UTF-8", "-A", "scram-sha-256",
                 "-U", "owner", f"--pwfile={self.password_file('owner')}")
        options = f"-p {PORT} -c listen_addresses=127.0.0.1 -c unix_socket_directories={folder} -c fsync=off"
        self.run("pg_ctl", "-D", str(self.data), "-l", str(folder / "log"), "-w", "-o", options, "start")

    def password_file(self, text):
        path = self.folder / "owner.pw"
        path.write_text(text + "\n")
        path.chmod(0o644)
        return path

    def run(self, program, *args):
        subprocess.run([*self.as_user, str(self.bin / program), *args], check=True, stdout=subprocess.DEVNULL, cwd="/tmp")

    def sql(self, text, database="registers"):
        done = subprocess.run(
            [str(self.bin / "psql"), "-h", "127.0.0.1", "-p", PORT, "-U", "owner", "-d", database, "-v", "ON_ERROR_STOP=1", "-q"],
            input=text, text=True, capture_output=True, check=False, env={**os.environ, "PGPASSWORD": "owner"},
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def stop(self):
        self.run("pg_ctl", "-D", str(self.data), "-m", "immediate", "stop")


class Fetch:
    def __init__(self, binary, folder):
        self.binary, self.folder = binary, folder
        self.password = folder / "password"
        self.password.write_text(PASSWORD + "\n")

    def mapping(self, query="SELECT * FROM person", key="id", user="reader", port=PORT):
        path = self.folder / "person.map.toml"
        path.write_text(MAPPING.format(query=query, key=key, user=user, port=port))
        return path

    def args(self, *more):
        return [self.binary, "fetch", "person.map.toml", "--passphrase-file", str(self.password), "--json", *more]

    def run(self, *more, one_core=False):
        """Exit code, object, stderr, wall seconds, peak MiB."""
        prefix = ["taskset", "-c", "0"] if one_core else []
        started = time.monotonic()
        child = subprocess.Popen([*prefix, *self.args(*more)], cwd=self.folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        out, err = child.stdout.read(), child.stderr.read()
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        said = json.loads(out) if out.startswith("{") else None
        return child.returncode, said, err, time.monotonic() - started, usage.ru_maxrss / 1024

    def rows(self):
        with open(self.folder / "person.csv", encoding="utf-8", newline="") as file:
            return list(csv.reader(file))


def expected(server, query="SELECT * FROM person ORDER BY id"):
    text = server.sql(f"COPY ({query}) TO STDOUT WITH (FORMAT csv, HEADER)")
    return list(csv.reader(io.StringIO(text, newline="")))


def refused(fetch, words, *more):
    code, _, err, _, _ = fetch.run(*more)
    assert code == 2 and words in err and "what to do" in err, (code, words, err)
    for secret in [PASSWORD, "张", "420525"]:
        assert secret not in err, f"{secret} is quoted"


def check_refusals(fetch):
    before = fetch.rows()
    fetch.mapping(query="SELECT id, name FROM twice")
    refused(fetch, "empty or repeated")
    fetch.mapping(query="SELECT id, name FROM long")
    refused(fetch, "longer than can be fetched")
    fetch.mapping(query="SELECT * FROM nothing")
    refused(fetch, "no such table")
    fetch.mapping(query="SELECT * FROM pg_authid", key="oid")
    refused(fetch, "the database refused")
    fetch.mapping(key="number")
    refused(fetch, "no such column")
    fetch.mapping(user="stranger")
    refused(fetch, "refuses the user or the password")
    fetch.mapping(port="1")
    refused(fetch, "cannot be reached")
    fetch.mapping(query="DELETE FROM person")
    refused(fetch, "must begin with SELECT")
    fetch.mapping()
    (fetch.folder / "person.map.toml").write_text(
        (fetch.folder / "person.map.toml").read_text().replace("Database=", "PWD=x;Database="))
    refused(fetch, "must not hold a password")
    assert fetch.rows() == before, "a refusal left something in the place of the file"


def main():
    binary = str(pathlib.Path(sys.argv[1]).resolve())
    rows = int(sys.argv[2]) if len(sys.argv) > 2 else 300_000
    folder = pathlib.Path(tempfile.mkdtemp(prefix="hedui-odbc-"))
    folder.chmod(0o755)
    server_folder = folder / "server"
    server_folder.mkdir()
    server = Server(server_folder)
    try:
        server.sql("CREATE DATABASE registers", "postgres")
        server.sql(TABLE.format(rows=rows, password=PASSWORD))
        fetch = Fetch(binary, folder)
        fetch.mapping(query=f"SELECT * FROM person WHERE id <= {rows // 10}")
        small = fetch.run(one_core=True)
        assert small[0] == 0, small
        fetch.mapping()
        code, said, err, seconds, peak = fetch.run(one_core=True)
        assert code == 0 and said["rows"] == rows, (code, said, err)
        truth = expected(server)
        assert fetch.rows() == truth, "a cell differs from what the server writes"
        mode = (folder / "person.csv").stat().st_mode & 0o777
        assert mode == 0o600, oct(mode)
        growth = peak - small[4]
        print(f"{rows} rows x 8 columns: {rows / seconds:.0f} rows/s on one core, all costs in; "
              f"peak {peak:.0f} MiB, {growth:+.1f} MiB against a tenth of the rows")
        assert growth < 8, "memory grows with the rows"

        # Killed at several moments, it goes on where it was and ends with the same bytes.
        whole = (folder / "person.csv").read_bytes()
        went_on = 0
        for share in (0.5, 0.7, 0.9):
            (folder / "person.csv").unlink(missing_ok=True)
            child = subprocess.Popen(fetch.args("--no-count"), cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(seconds * share)
            child.send_signal(signal.SIGKILL)
            child.wait()
            assert not (folder / "person.csv").exists() or (folder / "person.csv").read_bytes() == whole, "half a file"
            if not (folder / "person.csv").exists():
                code, said, err, _, _ = fetch.run()
                assert code == 0 and said["rows"] == rows, (code, said, err)
                went_on += said["went_on_after"] > 0
            assert (folder / "person.csv").read_bytes() == whole, "another file after going on"
        assert went_on > 0, "no kill left a point to go on from"
        # A key of text, and one whose name is another column's prefix.
        fetch.mapping(query="SELECT id_number, name FROM person", key="id_number")
        code, said, err, _, _ = fetch.run()
        assert code == 0 and said["rows"] == rows, err
        assert [row[0] for row in fetch.rows()[1:4]] == [row[1] for row in truth[1:4]]
        # Digits in a column of text are ordered as text, also after an interruption; other columns are not appended.
        server.sql(f"CREATE TABLE words AS SELECT g::text AS word, repeat('x', 40) AS rest FROM generate_series(1, {rows}) g;"
                   "GRANT SELECT ON words TO reader;")
        fetch.mapping(query="SELECT * FROM words", key="word")
        code, said, err, seconds, _ = fetch.run("--no-count")
        assert code == 0 and said["rows"] == rows, err
        whole = (folder / "person.csv").read_bytes()
        resumed = False
        for share in (0.6, 0.75, 0.9):
            (folder / "person.csv").unlink(missing_ok=True)
            child = subprocess.Popen(fetch.args("--no-count"), cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
            time.sleep(seconds * share)
            child.send_signal(signal.SIGKILL)
            child.wait()
            if (folder / "person.csv.fetch-point").exists():
                resumed = True
                break
        if resumed:
            server.sql("ALTER TABLE words RENAME COLUMN rest TO more")
            refused(fetch, "columns have changed")
            server.sql("ALTER TABLE words RENAME COLUMN more TO rest")
            code, said, err, _, _ = fetch.run()
            assert code == 0 and said["rows"] == rows and said["went_on_after"] > 0, (code, said, err)
            assert (folder / "person.csv").read_bytes() == whole, "another file after going on by text"
        fetch.mapping()
        code, said, err, _, _ = fetch.run()
        assert code == 0, err
        check_refusals(fetch)
        assert not re.search(r"DELETE|UPDATE|INSERT", (server_folder / "log").read_text()), "something was written"
        print(f"interrupted three times, went on after a point {went_on} times, same bytes; ten refusals")
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)


if __name__ == "__main__":
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    main()
