// values CHART: that the values of a chart, the table of its README and its schema speak of the same values, and that table and schema
// say the same of each.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

type object = map[string]any

var row = regexp.MustCompile("(?m)^\\| `([A-Za-z.]+)` \\| (.+) \\|$")

func main() {
	complaints, err := run(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, "values:", err)
		os.Exit(2)
	}
	for _, complaint := range complaints {
		fmt.Fprintln(os.Stderr, complaint)
	}
	if len(complaints) != 0 {
		os.Exit(1)
	}
}

func run(chart string) ([]string, error) {
	text := func(name string) []byte {
		text, _ := os.ReadFile(filepath.Join(chart, name))
		return text
	}
	var values, schema object
	if err := yaml.Unmarshal(text("values.yaml"), &values); err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text("values.schema.json"), &schema); err != nil {
		return nil, err
	}
	table := map[string]string{}
	for _, found := range row.FindAllStringSubmatch(string(text("README.md")), -1) {
		table[found[1]] = found[2]
	}
	described := map[string]string{}
	ofSchema(schema, "", described)
	delete(described, "global") // what a parent chart hands to all
	if len(values) == 0 || len(table) == 0 || len(described) == 0 {
		return nil, fmt.Errorf("%s has no values, no table or no schema", chart)
	}
	return judge(values, table, described), nil
}

// Those of the schema that have no parts with names of their own.
func ofSchema(schema object, path string, described map[string]string) {
	parts, _ := schema["properties"].(object)
	for name, part := range parts {
		part := part.(object)
		inner := strings.TrimPrefix(path+"."+name, ".")
		if _, isDescribed := part["description"]; isDescribed || part["properties"] == nil {
			described[inner], _ = part["description"].(string)
		} else {
			ofSchema(part, inner, described)
		}
	}
}

func judge(values object, table, described map[string]string) (complaints []string) {
	complain := func(format string, arguments ...any) {
		complaints = append(complaints, fmt.Sprintf(format, arguments...))
	}
	leaves := map[string]bool{}
	ofValues(values, "", table, leaves)
	for path := range leaves {
		if table[path] == "" {
			complain("%s is in values.yaml, and not in the table of README.md", path)
		}
	}
	for path, text := range table {
		if !leaves[path] {
			complain("%s is in the table of README.md, and not in values.yaml", path)
		}
		if described[path] != text {
			complain("%s: README.md says %q, values.schema.json %q", path, text, described[path])
		}
	}
	for path := range described {
		if table[path] == "" {
			complain("%s is in values.schema.json, and not in the table of README.md", path)
		}
	}
	slices.Sort(complaints)
	return complaints
}

// A value that the table names is one, whatever it is made of.
func ofValues(values object, path string, table map[string]string, leaves map[string]bool) {
	for name, value := range values {
		inner := strings.TrimPrefix(path+"."+name, ".")
		parts, isObject := value.(object)
		if table[inner] == "" && isObject && len(parts) != 0 {
			ofValues(parts, inner, table, leaves)
		} else {
			leaves[inner] = true
		}
	}
}
