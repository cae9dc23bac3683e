package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const (
	values = "a: {b: 1, c: {}}\nd: {e: 2}\n"
	schema = `{"properties": {"a": {"properties": {"b": {"description": "B."}, "c": {"description": "C."}}}, "d": {"description": "D.", "properties": {"e": {}}}}}`
	readme = "| `a.b` | B. |\n| `a.c` | C. |\n| `d` | D. |\n"
)

func TestAllThreeSayTheSame(t *testing.T) {
	for _, one := range []struct{ values, schema, readme, expected string }{
		{values, schema, readme, ""},
		{values + "f: {}\n", schema, readme, "f is in values.yaml"},
		{strings.Replace(values, ", c: {}", "", 1), schema, readme, "a.c is in the table"},
		{values, strings.Replace(schema, "B.", "Other.", 1), readme, `a.b: README.md says "B."`},
		{values, strings.Replace(schema, `"a"`, `"f"`, 1), readme, `a.b: README.md says "B."`},
		{values, schema, strings.Replace(readme, "| `d` | D. |\n", "", 1), "d is in values.schema.json"},
	} {
		folder := t.TempDir()
		for name, text := range map[string]string{"values.yaml": one.values, "values.schema.json": one.schema, "README.md": one.readme} {
			if err := os.WriteFile(filepath.Join(folder, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		complaints, err := run(folder)
		if told := strings.Join(complaints, "|"); err != nil || !strings.Contains(told, one.expected) || (told == "") != (one.expected == "") {
			t.Errorf("%+v: %q, %v", one, told, err)
		}
	}
}

func TestWithoutAChartThereIsNoVerdict(t *testing.T) {
	if _, err := run(t.TempDir()); err == nil {
		t.Error("an empty folder is judged")
	}
}
