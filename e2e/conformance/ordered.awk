# The report with its profiles by name: the suite writes them in the order of a map, which is another each time.
/^[^ -]/ { print_profiles() }
/^profiles:/ { inside = 1; print; next }
!inside { print; next }
/^- / { profile++ }
/^  name: / { name[profile] = $2 }
{ text[profile] = text[profile] $0 "\n" }
END { print_profiles() }

function print_profiles(    least, each) {
    for (; profile > 0; profile--) {
        least = 0
        for (each in name) if (!least || name[each] < name[least]) least = each
        printf "%s", text[least]
        delete name[least]
        delete text[least]
    }
    inside = 0
}
