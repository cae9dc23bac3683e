# What the scripts beside this one stand on: whether the machine will do, where things are, what is known of one cluster.
# They source it; it is not run.

fail() {
    echo "${0##*/}: $*" >&2
    exit 1
}

[ "$(uname)" = Linux ] || fail "a test cluster of our own needs Linux; elsewhere, hand in a cluster by KUBECONFIG"

as_root() {
    [ "$(id -u)" = 0 ] || fail "a test cluster of our own needs root: run as root, or hand in a cluster by KUBECONFIG"
}

here=$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")
cache=${XDG_CACHE_HOME:-$HOME/.cache}/sallyport
# Named after all that decides what the programs are, so that a changed pin builds anew and the old ones stay as they are.
programs=$cache/cluster-$(cat "$here"/../tools/go.{mod,sum} "$here/build" | sha256sum | cut -c1-16)

# Sets what belongs to one cluster. Its folder is not below the programs: `down` also ends a cluster of older ones.
cluster() {
    as_root
    name=${1:-}
    [[ $name =~ ^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$ ]] ||
        fail "a cluster's name is 1 to 32 lower-case letters, digits and dashes, not '$name'"
    folder=$cache/clusters/$name
}

# The process that `up` started, while it runs. All processes of the node hold the cluster's folder open. That tells them
# from a process that got the same number later, and keeps the folder locked until the last of them has ended.
first_process() {
    local pid
    pid=$(cat "$folder/pid" 2>/dev/null) && [ "/proc/$pid/fd/9" -ef "$folder" ] && echo "$pid"
}

running() {
    first_process || fail "there is no cluster $name: $here/up $name starts one"
}

lock() { # lock HOW-LONG: the cluster's folder, as an option of flock says
    exec 9<"$folder"
    flock "$1" 9
}

# Ends every process of the cluster, and locks its folder. Mounts and networks go with the last process that is in them.
end_processes() {
    local pid
    for _ in $(seq 30); do
        if pid=$(first_process); then
            # Its only child is the first process of the namespaces: with it all others end, and then its parent does.
            kill -KILL $(<"/proc/$pid/task/$pid/children") 2>/dev/null || true
        fi
        if lock --timeout=1; then return 0; fi
    done
    fail "processes of the cluster $name do not end"
}

remove_cgroups() {
    local left
    for _ in $(seq 50); do # what has ended may keep its cgroup for another moment
        left=$(ls -d /sys/fs/cgroup/{,*/}"sallyport-$name" 2>/dev/null) || true
        [ -n "$left" ] || return 0
        find $left -depth -type d -exec rmdir {} + 2>/dev/null || sleep 0.1
    done
    fail "cgroups of the cluster $name remain: $left"
}

without_proxy() { # Where a cluster is, nothing outside can be reached, a proxy neither.
    unset {http,https,all}_proxy {HTTP,HTTPS,ALL}_PROXY
}
