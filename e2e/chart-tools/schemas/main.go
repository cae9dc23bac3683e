// schemas OUT CRD-FOLDER...: writes JSON schemas for kubeconform, of Kubernetes' own kinds from the OpenAPI document of the module that
// test clusters are built from (on standard input), and of other kinds from their CRDs. Fields that no schema names are refused.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
)

type object = map[string]any

func main() {
	if err := run(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, "schemas:", err)
		os.Exit(1)
	}
}

func run(out string, folders []string) error {
	var document struct {
		Definitions map[string]object `json:"definitions"`
	}
	if err := json.NewDecoder(os.Stdin).Decode(&document); err != nil {
		return err
	}
	if err := ofKubernetes(out, document.Definitions); err != nil {
		return err
	}
	for _, folder := range folders {
		files, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
		if err != nil {
			return err
		}
		for _, file := range files {
			if err := ofCRD(out, file); err != nil {
				return fmt.Errorf("%s: %w", file, err)
			}
		}
	}
	return nil
}

// One file with everything, and one of each kind that points into it.
func ofKubernetes(out string, definitions map[string]object) error {
	all := object{}
	for name, definition := range definitions {
		all[name] = strict(definition)
	}
	if err := write(out, "definitions", object{"definitions": all}); err != nil {
		return err
	}
	for name, definition := range definitions {
		kinds, _ := definition["x-kubernetes-group-version-kind"].([]any)
		if len(kinds) != 1 { // those of several groups are options of calls, never objects
			continue
		}
		kind := kinds[0].(object)
		reference := object{"$ref": "definitions.json#/definitions/" + name}
		if err := write(out, file(kind["group"].(string), kind["version"].(string), kind["kind"].(string)), reference); err != nil {
			return err
		}
	}
	return nil
}

func ofCRD(out, path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	var crd struct {
		Kind string
		Spec struct {
			Group    string
			Names    struct{ Kind string }
			Versions []struct {
				Name   string
				Schema struct{ OpenAPIV3Schema object }
			}
		}
	}
	if err := yaml.Unmarshal(text, &crd); err != nil || crd.Kind != "CustomResourceDefinition" {
		return err
	}
	for _, version := range crd.Spec.Versions {
		schema := version.Schema.OpenAPIV3Schema
		properties := schema["properties"].(object)
		for _, common := range []string{"apiVersion", "kind"} {
			properties[common] = object{"type": "string"}
		}
		properties["metadata"] = object{"$ref": "definitions.json#/definitions/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"}
		if err := write(out, file(crd.Spec.Group, version.Name, crd.Spec.Names.Kind), strict(schema).(object)); err != nil {
			return err
		}
	}
	return nil
}

// strict refuses what it does not name, allows null where OpenAPI says nullable, and numbers as well as texts where Kubernetes does.
func strict(value any) any {
	list, isList := value.([]any)
	for at, item := range list {
		list[at] = strict(item)
	}
	schema, isObject := value.(object)
	if isList || !isObject {
		return value
	}
	for name, inner := range schema {
		if reference, isText := inner.(string); isText && name == "$ref" {
			schema[name] = "definitions.json#" + reference[strings.Index(reference, "#")+1:]
		} else {
			schema[name] = strict(inner)
		}
	}
	named, isNamed := schema["properties"].(object)
	if _, isOpen := schema["additionalProperties"]; isNamed && len(named) != 0 && !isOpen && schema["x-kubernetes-preserve-unknown-fields"] == nil {
		schema["additionalProperties"] = false
	}
	if schema["format"] == "int-or-string" || schema["x-kubernetes-int-or-string"] == true {
		return object{"anyOf": []any{object{"type": "string"}, object{"type": "integer"}}}
	}
	if strings.HasSuffix(fmt.Sprint(schema["description"]), "quantity-or-number") {
		return object{}
	}
	if kind, isText := schema["type"].(string); isText && schema["nullable"] == true {
		schema["type"] = []any{kind, "null"}
	}
	return schema
}

// As kubeconform looks for it.
func file(group, version, kind string) string {
	if group == "" {
		return strings.ToLower(kind) + "-" + version
	}
	return strings.ToLower(kind) + "-" + strings.SplitN(group, ".", 2)[0] + "-" + version
}

func write(out, name string, schema object) error {
	text, err := json.Marshal(schema)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(out, name+".json"), text, 0o644)
}
