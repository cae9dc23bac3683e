// kstatus reads objects from standard input, one JSON document after the other, and says for each what Helm, Flux and kubectl-like tools
// make of it: the library is the one that Helm 4 waits with. A document is an object, or {"case", "expected", "object"}: then what is
// expected is compared, and any difference ends it with status 1.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

type judged struct {
	Case     string         `json:"case"`
	Expected string         `json:"expected"`
	Object   map[string]any `json:"object"`
}

func main() {
	wrong, err := judge(json.NewDecoder(os.Stdin), os.Stdout)
	if err != nil {
		fmt.Fprintln(os.Stderr, "kstatus:", err)
		os.Exit(2)
	}
	if wrong != 0 {
		os.Exit(1)
	}
}

// judge says how many were not as expected.
func judge(documents *json.Decoder, told io.Writer) (wrong int, err error) {
	for {
		var raw json.RawMessage
		if err := documents.Decode(&raw); errors.Is(err, io.EOF) {
			return wrong, nil
		} else if err != nil {
			return wrong, err
		}
		one, err := read(raw)
		if err != nil {
			return wrong, err
		}
		found, err := compute(one.Object)
		if err != nil {
			return wrong, err
		}
		verdict := ""
		if one.Expected != "" && one.Expected != found.Status.String() {
			verdict, wrong = fmt.Sprintf(" instead of %s (%s)", one.Expected, found.Message), wrong+1
		}
		object := unstructured.Unstructured{Object: one.Object}
		fmt.Fprintf(told, "%s%s/%s %s%s\n", one.Case, object.GetKind(), object.GetName(), found.Status, verdict)
	}
}

func read(raw json.RawMessage) (judged, error) {
	var one judged
	if err := json.Unmarshal(raw, &one); err != nil {
		return one, err
	}
	if one.Object != nil {
		one.Case += " "
		return one, nil
	}
	return one, json.Unmarshal(raw, &one.Object)
}

func compute(object map[string]any) (*status.Result, error) {
	// Numbers as a client of the API server has them: whole ones are int64.
	text, err := json.Marshal(object)
	if err != nil {
		return nil, err
	}
	whole := &unstructured.Unstructured{}
	if err := whole.UnmarshalJSON(text); err != nil {
		return nil, err
	}
	return status.Compute(whole)
}
