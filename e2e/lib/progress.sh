# Sourced by scripts that a person watches: what is being done, and how far it is.

# stages TOTAL: how many stages there will be.
stages() { stage_number=0 stage_total=$1; }

# stage TEXT: the next one begins.
stage() { stage_number=$((stage_number + 1)); echo "[$stage_number/$stage_total] $1"; }

# counted WHAT TOTAL PATTERN COMMAND...: runs a build that takes minutes. Each ten seconds it says how many of its lines of
# output match the pattern, of about TOTAL; a build that fails shows all its other lines.
counted() {
  local what=$1 total=$2 pattern=$3 began=$SECONDS count=0 said=$SECONDS line other
  shift 3
  other=$(mktemp)
  # The last line tells how the command ended, which a pipe would lose.
  while IFS= read -r line; do
    case $line in
      '<ended '*) break ;;
      *) if [[ $line =~ $pattern ]]; then count=$((count + 1)); else printf '%s\n' "$line" >>"$other"; fi ;;
    esac
    if [ $((SECONDS - said)) -ge 10 ]; then
      said=$SECONDS
      echo "      $what: $count of about $total, $((SECONDS - began)) s" >&2
    fi
  done < <("$@" 2>&1 && echo '<ended well>' || echo '<ended badly>')
  if [ "$line" != '<ended well>' ]; then
    cat "$other" >&2
    rm -f "$other"
    return 1
  fi
  rm -f "$other"
}
