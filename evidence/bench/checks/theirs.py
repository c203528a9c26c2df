"""What a person would run instead: theirs.py duckdb QUERY | datacontract FILE."""

import sys


def main(who: str, what: str) -> None:
    if who == "duckdb":
        import duckdb

        print("rows", duckdb.sql(what).fetchone()[0])
        return
    from datacontract.data_contract import DataContract

    run = DataContract(data_contract_file=what).test()
    failed = [check for check in run.checks if check.result not in ("passed", "warning")]
    for check in failed:
        print(check.name, check.result, check.reason)
    print("checks", len(run.checks))
    sys.exit(1 if failed or not run.checks else 0)


main(*sys.argv[1:])
