package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const found = `[{"object_name": "a", "checks": [
	{"check": {"id": "bad"}, "grade": 1}, {"check": {"id": "doubtful"}, "grade": 5},
	{"check": {"id": "good"}, "grade": 10}, {"check": {"id": "left"}, "grade": 0, "skipped": true}]}]`

func TestWhatIsNotFineIsAnExceptionAndTheOtherWay(t *testing.T) {
	for exceptions, expected := range map[string]string{
		"bad: why\ndoubtful: why\n":            "",
		"# why\nbad: why\n":                    "a: doubtful",
		"":                                     "a: bad|a: doubtful",
		"bad: why\ndoubtful: why\ngood: why\n": "nothing needs the exception good",
		"bad: why\ndoubtful: why\nleft: why\n": "nothing needs the exception left",
	} {
		complaints, err := run(file(t, exceptions), strings.NewReader(found))
		if err != nil {
			t.Fatal(err)
		}
		var short []string
		for _, complaint := range complaints {
			short = append(short, strings.TrimSuffix(complaint, ": []"))
		}
		if told := strings.Join(short, "|"); told != expected {
			t.Errorf("%q: %q instead of %q", exceptions, told, expected)
		}
	}
}

func TestWhatCannotBeReadIsNoVerdict(t *testing.T) {
	for exceptions, scored := range map[string]string{"bad:\n": found, "bad\n": found, "": "[]", "# none\n": "{"} {
		if _, err := run(file(t, exceptions), strings.NewReader(scored)); err == nil {
			t.Errorf("%q and %q are judged", exceptions, scored)
		}
	}
}

func file(t *testing.T, text string) string {
	path := filepath.Join(t.TempDir(), "exceptions")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
