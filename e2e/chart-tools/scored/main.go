// scored EXCEPTIONS reads what kube-score found, as JSON of its version 2, from standard input. What is not fine has to be among the
// exceptions, lines of a check and why it is not followed; and each exception has to be needed.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
)

// Grades of kube-score: 10 is fine.
const fine = 10

type object struct {
	Name   string `json:"object_name"`
	Checks []struct {
		Check struct {
			ID string `json:"id"`
		} `json:"check"`
		Grade    int  `json:"grade"`
		Skipped  bool `json:"skipped"`
		Comments []struct {
			Summary string `json:"summary"`
		} `json:"comments"`
	} `json:"checks"`
}

func main() {
	complaints, err := run(os.Args[1], os.Stdin)
	if err != nil {
		fmt.Fprintln(os.Stderr, "scored:", err)
		os.Exit(2)
	}
	for _, complaint := range complaints {
		fmt.Fprintln(os.Stderr, complaint)
	}
	if len(complaints) != 0 {
		os.Exit(1)
	}
}

func run(path string, found io.Reader) ([]string, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	exceptions, err := read(string(text))
	if err != nil {
		return nil, err
	}
	var objects []object
	if err := json.NewDecoder(found).Decode(&objects); err != nil {
		return nil, err
	}
	if len(objects) == 0 {
		return nil, fmt.Errorf("nothing was scored")
	}
	return judge(objects, exceptions), nil
}

func read(text string) ([]string, error) {
	var exceptions []string
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		id, why, _ := strings.Cut(strings.TrimSpace(line), ": ")
		if why == "" {
			return nil, fmt.Errorf("an exception without a reason: %q", line)
		}
		exceptions = append(exceptions, id)
	}
	return exceptions, nil
}

func judge(objects []object, exceptions []string) (complaints []string) {
	unneeded := slices.Clone(exceptions)
	for _, object := range objects {
		for _, check := range object.Checks {
			if check.Skipped || check.Grade == fine {
				continue
			}
			id := check.Check.ID
			unneeded = slices.DeleteFunc(unneeded, func(one string) bool { return one == id })
			if !slices.Contains(exceptions, id) {
				complaints = append(complaints, fmt.Sprintf("%s: %s: %v", object.Name, id, check.Comments))
			}
		}
	}
	for _, id := range unneeded {
		complaints = append(complaints, "nothing needs the exception "+id)
	}
	return complaints
}
