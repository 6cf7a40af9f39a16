# Completion of toom(8) for bash; made by deno task docs.
_toom() {
  local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD-1]}
  local command=${COMP_WORDS[1]} words=
  COMPREPLY=()
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "run limit reload config check-config status top web explain me kills exec record replay api doctor demo --help --version" -- "$word"))
    return
  fi
  case $command in
  limit)
    if [ "$COMP_CWORD" -eq 2 ]; then
      COMPREPLY=($(compgen -W "set get list diff clear reset --help" -- "$word"))
      return
    fi
    command="$command ${COMP_WORDS[2]}" ;;
  config)
    if [ "$COMP_CWORD" -eq 2 ]; then
      COMPREPLY=($(compgen -W "show --help" -- "$word"))
      return
    fi
    command="$command ${COMP_WORDS[2]}" ;;
  esac
  case "$command $before" in
  "run --config") COMPREPLY=($(compgen -f -- "$word")); return ;;
  "run --source") COMPREPLY=($(compgen -W "auto bpf raw text" -- "$word")); return ;;
  "run --trigger") COMPREPLY=($(compgen -W "kernel user" -- "$word")); return ;;
  "run --victim") COMPREPLY=($(compgen -W "largest newest growing culprit" -- "$word")); return ;;
  "run --brake") COMPREPLY=($(compgen -W "off growers all" -- "$word")); return ;;
  "run --kill-unit") COMPREPLY=($(compgen -W "process group session scope" -- "$word")); return ;;
  "run --storm-then") COMPREPLY=($(compgen -W "off parent session" -- "$word")); return ;;
  "run --machine-victim") COMPREPLY=($(compgen -W "share over-soft largest" -- "$word")); return ;;
  "run --log-format") COMPREPLY=($(compgen -W "text json" -- "$word")); return ;;
  "run --control-socket") COMPREPLY=($(compgen -f -- "$word")); return ;;
  "run --tmalloc-socket") COMPREPLY=($(compgen -f -- "$word")); return ;;
  "run --state-dir") COMPREPLY=($(compgen -f -- "$word")); return ;;
  "run --history") COMPREPLY=($(compgen -f -- "$word")); return ;;
  "run --web") COMPREPLY=($(compgen -f -- "$word")); return ;;
  "run --subuid-file") COMPREPLY=($(compgen -f -- "$word")); return ;;
  "limit set --brake") COMPREPLY=($(compgen -W "off growers all" -- "$word")); return ;;
  "limit set --kill-unit") COMPREPLY=($(compgen -W "process group session scope" -- "$word")); return ;;
  "limit set --storm-then") COMPREPLY=($(compgen -W "off parent session" -- "$word")); return ;;
  "limit set --control-socket") COMPREPLY=($(compgen -f -- "$word")); return ;;
  "limit get --control-socket") COMPREPLY=($(compgen -f -- "$word")); return ;;
  "limit list --control-socket") COMPREPLY=($(compgen -f -- "$word")); return ;;
  "limit diff --control-socket") COMPREPLY=($(compgen -f -- "$word")); return ;;
  "limit clear --control-socket") COMPREPLY=($(compgen -f -- "$word")); return ;;
  "limit reset --control-socket") COMPREPLY=($(compgen -f -- "$word")); return ;;
  "reload --control-socket") COMPREPLY=($(compgen -f -- "$word")); return ;;
  "config show --control-socket") COMPREPLY=($(compgen -f -- "$word")); return ;;
  "status --control-socket") COMPREPLY=($(compgen -f -- "$word")); return ;;
  "top --control-socket") COMPREPLY=($(compgen -f -- "$word")); return ;;
  "top --record") COMPREPLY=($(compgen -f -- "$word")); return ;;
  "web --listen") COMPREPLY=($(compgen -f -- "$word")); return ;;
  "web --record") COMPREPLY=($(compgen -f -- "$word")); return ;;
  "web --control-socket") COMPREPLY=($(compgen -f -- "$word")); return ;;
  "explain --control-socket") COMPREPLY=($(compgen -f -- "$word")); return ;;
  "me --control-socket") COMPREPLY=($(compgen -f -- "$word")); return ;;
  "kills --history") COMPREPLY=($(compgen -f -- "$word")); return ;;
  "kills --control-socket") COMPREPLY=($(compgen -f -- "$word")); return ;;
  "exec --tmalloc-socket") COMPREPLY=($(compgen -f -- "$word")); return ;;
  "exec --fallback") COMPREPLY=($(compgen -W "malloc fail" -- "$word")); return ;;
  "exec --preload") COMPREPLY=($(compgen -f -- "$word")); return ;;
  "record --control-socket") COMPREPLY=($(compgen -f -- "$word")); return ;;
  "replay --raw") COMPREPLY=($(compgen -f -- "$word")); return ;;
  "replay --victim") COMPREPLY=($(compgen -W "largest newest growing culprit" -- "$word")); return ;;
  "replay --policy") COMPREPLY=($(compgen -W "largest newest growing culprit" -- "$word")); return ;;
  "replay --config") COMPREPLY=($(compgen -f -- "$word")); return ;;
  "replay --svg") COMPREPLY=($(compgen -f -- "$word")); return ;;
  "doctor --control-socket") COMPREPLY=($(compgen -f -- "$word")); return ;;
  esac
  case $command in
  run) words="--config --limit --source --trigger --readers --count --victim --no-default-rules --soft --brake --kill-signal --kill-grace --kill-ceiling --kill-unit --storm-kills --storm-seconds --storm-then --interval --lower-grace --min-available --no-psi --machine-victim --terminals --dry-run --log-format --buffer-kib --subbuf-kib --control-socket --tmalloc-socket --state-dir --history --record-seconds --record-files --metrics --web --no-subuids --max-processes --max-user-processes --max-users --cpu --help" ;;
  "limit set") words="--soft --brake --count --victim --max-processes --kill-signal --kill-grace --kill-ceiling --kill-unit --storm-kills --storm-seconds --storm-then --now --json --control-socket --help" ;;
  "limit get") words="--json --control-socket --help" ;;
  "limit list") words="--json --control-socket --help" ;;
  "limit diff") words="--json --control-socket --help" ;;
  "limit clear") words="--json --control-socket --help" ;;
  "limit reset") words="--json --control-socket --help" ;;
  reload) words="--now --json --control-socket --help" ;;
  "config show") words="--user --json --control-socket --help" ;;
  check-config) words="--json --help" ;;
  status) words="--json --csv --control-socket --help" ;;
  top) words="--control-socket --prometheus --record --help" ;;
  web) words="--listen --link --record --control-socket --help" ;;
  explain) words="--watch --json --control-socket --help" ;;
  me) words="--json --control-socket --help" ;;
  kills) words="--user --since --rows --peaks --json --csv --history --control-socket --help" ;;
  exec) words="--tmalloc-socket --fallback --preload --no-hints --help" ;;
  record) words="--for --force --control-socket --help" ;;
  replay) words="--raw --formats --subbuf --limit --soft --count --victim --policy --config --compare --svg --assume-uid --page-bytes --json --dump --help" ;;
  api) words="--help" ;;
  doctor) words="--json --audit --control-socket --help" ;;
  demo) words="--help" ;;
  esac
  case $word in
  -*) COMPREPLY=($(compgen -W "$words" -- "$word")); return ;;
  esac
  case $command in
  "limit set"|"limit get"|"limit clear"|"limit reset"|explain|doctor)
    COMPREPLY=($(compgen -u -- "$word")) ;;
  exec) COMPREPLY=($(compgen -c -- "$word")) ;;
  *) COMPREPLY=($(compgen -f -- "$word")) ;;
  esac
}
complete -F _toom toom
