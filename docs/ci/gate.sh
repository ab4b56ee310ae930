#!/bin/sh
# gate.sh SUITE WORDS...: judge, keep the verdicts beside this call, and hand the exit status on.
#
#   gate.sh bench.yaml --base "git=$(git merge-base main HEAD)" --head git=HEAD
#   gate.sh bench.yaml --preset edge-ready -k int4 --runs 10
#   gate.sh bench.yaml --baseline "llamacpp==0.3.36" --runs 10
#
# With these two the verdicts lead to their samples: a folder that a web server shows, and its address.
#   SITE=/srv/www/gates/42 EDGEBENCH_SITE_URL=https://lab.example.org/gates/42
# Another database than results/edgebench.db is named by EDGEBENCH_DB, so that both commands read it.
set -u
suite=$1
shift
edgebench gate "$suite" "$@" --write markdown=gate.md --write junit=gate.xml --write json=gate.json
status=$?
case $status in
    0) echo "gate: pass" ;;
    1) echo "gate: something fails, see gate.md" ;;
    3) echo "gate: inconclusive, see gate.md for what it would have seen" ;;
    *) echo "gate: no verdict" >&2 ;;
esac
if [ -n "${SITE:-}" ]; then
    case $status in
        # A site that cannot be written changes no verdict.
        0 | 1 | 3) edgebench report --gate gate.json --out "$SITE" || echo "gate: no site in $SITE" >&2 ;;
    esac
fi
exit $status
