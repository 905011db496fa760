# Sourced by the scripts that fetch parts of Debian.

# The archive that this machine's Debian comes from, as configured: the one that holds its release.
archive() {
  local release uris
  release=$(. /etc/os-release && echo "${VERSION_CODENAME:-stable}")
  uris=$(apt-get update --print-uris 2>/dev/null | sed -n "s/^'\([^']*\)\/dists\/\([^']*\)\/InRelease'.*/\2 \1/p")
  { grep "^$release " <<<"$uris" || grep -Ev '^[^ ]*(security|updates)' <<<"$uris"; } |
    head -n 1 | cut -d ' ' -f 2
}
