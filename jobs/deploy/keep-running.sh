#!/usr/bin/env bash
# Run a sweep's command again until it is done or a person has to change something.
#   bash jobs/deploy/keep-running.sh python jobs/sweep_trades.py --preset table2-batch
# Exit codes 0 (done), 2 (bad input), 5 (all trials crash) and 130 (interrupted) of the command end this script with the
# same code, and so does code 3 (crashed trials) at the third time in sequence. Code 6 (the budget is used up) ends it with
# code 0, because nothing has failed, and KubeRay would start a new cluster after a failure. After any other end, such as a
# kill or a server that was away for too long, the command starts again. SIGTERM and SIGINT are passed on to the command
# and end the script with it.
# UNMASK_PAUSE_S: seconds before the first restart, 10 without it. The pause doubles up to 10 minutes. After a run of 10
#   minutes it is as short as at first.
# UNMASK_RESTARTS: largest number of restarts in sequence after runs of less than 10 minutes, 20 without it.
set -uo pipefail
first=${UNMASK_PAUSE_S:-10} most=${UNMASK_RESTARTS:-20}
long=600 pause=$first restarts=0 incomplete=0 stopped= child= passed=

stop() {
  stopped=1
  [ -z "$child" ] || { passed=1; kill -TERM "$child" 2>/dev/null; }
}
trap stop TERM INT

# Run a command and wait for it. A command in the foreground would delay the signals until it has ended.
run() {
  local code started
  child= passed=
  "$@" &
  started=$!
  # Bash's new process ignores signals until it has become the command, whose command line is not that of this script.
  while cmp -s "/proc/$$/cmdline" "/proc/$started/cmdline"; do
    sleep 0.01
  done
  child=$started
  # A signal that came before this moment was not passed on. A second one would disturb how the command ends.
  [ -z "$stopped" ] || [ -n "$passed" ] || kill -TERM "$child" 2>/dev/null
  wait "$child"
  code=$?
  while kill -0 "$child" 2>/dev/null; do # a signal has ended `wait` before the command has ended
    wait "$child"
    code=$?
  done
  return "$code"
}

while [ -z "$stopped" ]; do
  began=$SECONDS
  run "$@"
  code=$?
  case $code in
    0 | 2 | 5 | 130) exit "$code" ;;
    6) exit 0 ;;
    3) incomplete=$((incomplete + 1)) ;;
    *) incomplete=0 ;;
  esac
  [ "$incomplete" -lt 3 ] || exit "$code"
  if [ $((SECONDS - began)) -ge "$long" ]; then
    pause=$first restarts=0
  fi
  restarts=$((restarts + 1))
  [ "$restarts" -le "$most" ] || exit "$code"
  [ -z "$stopped" ] || exit "$code"
  echo "keep-running: exit code $code; the command starts again in $pause s (restart $restarts)"
  run sleep "$pause"
  pause=$((pause * 2 < long ? pause * 2 : long))
done
exit 130
