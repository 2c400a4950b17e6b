// Command genmodel writes the tables of package model.
//
// Run it in the folder of that package, as go generate does. It downloads the
// API models as a Go module, through the ordinary module cache, and reads the
// Go clients at the version that this module requires: run it again whenever
// that changes. It prints what it had to infer, which is the place to look for
// what overlay.json should say.
//
// What overlay.json says now, and why:
//
//   - Bodies: a layer part has up to 20 MiB in base64, and an image manifest 4 MiB
//     that grow if they are quoted inside JSON.
//   - ECR: what the API reference says since the models were frozen, above all that
//     names of repositories may have the separators of the OCI specification, that
//     ROOT is a prefix, and that partitions other than aws exist; and what the SDK does
//     not have yet: deleteReplication of a replication rule.
//   - CodeArtifact: the parameter endpointType is in the query string.
//   - STS: the pattern of ARNs means the planes above U+FFFF, which Java writes in
//     another way than the model does.
//   - IAM: the pattern of account aliases looks ahead, which RE2 does not. One
//     answer spells isTruncated in lower case.
//   - Signer: the pattern of tag keys looks ahead.
//   - STS and IAM: the statuses of errors that are newer than the models.
//   - One-time codes, the traded-in token and SAML private keys are secrets.
package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"log"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire/model"
)

func main() {
	log.SetFlags(0)
	dir, err := download()
	if err != nil {
		log.Fatal(err)
	}
	for _, service := range []string{"ecr", "codeartifact", "sts", "iam", "secretsmanager", "signer"} {
		if err := generate(dir, service); err != nil {
			log.Fatalf("%s: %v", service, err)
		}
	}
}

func generate(dir, service string) error {
	a, err := readAPI(dir, service)
	if err != nil {
		return err
	}
	k, err := readSDK(service)
	if err != nil {
		return err
	}
	t, err := table(a)
	if err != nil {
		return err
	}
	j := newJoiner(t, k)
	if err := j.join(); err != nil {
		return err
	}
	if t, err = patch(t, service); err != nil {
		return err
	}
	if err := check(t); err != nil {
		return err
	}
	for _, line := range j.news {
		fmt.Println(service, line)
	}
	out, err := format(t)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join("tables", service+".json"), out, 0o644)
}

//go:embed overlay.json
var overlay []byte

// patch applies the service's part of the overlay, a JSON merge patch
// (RFC 7396) of the table.
func patch(t *model.Service, service string) (*model.Service, error) {
	var patches map[string]map[string]any
	if err := json.Unmarshal(overlay, &patches); err != nil {
		return nil, fmt.Errorf("overlay.json: %w", err)
	}
	raw, err := json.Marshal(t)
	if err != nil {
		return nil, err
	}
	var doc any
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, err
	}
	if raw, err = json.Marshal(merge(doc, patches[service])); err != nil {
		return nil, err
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	t = new(model.Service)
	if err := d.Decode(t); err != nil {
		return nil, fmt.Errorf("overlay.json: %w", err)
	}
	return t, nil
}

func merge(target, patch any) any {
	p, ok := patch.(map[string]any)
	if !ok {
		return patch
	}
	t, ok := target.(map[string]any)
	if !ok {
		t = map[string]any{}
	}
	for name, value := range p {
		if value == nil {
			delete(t, name)
		} else {
			t[name] = merge(t[name], value)
		}
	}
	return t
}

// check finds what a server could not work with.
func check(t *model.Service) error {
	for name, o := range t.Operations {
		if t.Protocol == model.RestJSON && (o.Method == "" || o.Path == "" || regexp.MustCompile(`[?]|[^/]\{|\+\}|\}[^/]`).MatchString(o.Path)) {
			return fmt.Errorf("operation %s: no usable method and path: %+v", name, o)
		}
	}
	for name, s := range t.Shapes {
		expression := s.Expression
		if expression == "" {
			expression = s.Pattern
		}
		if _, err := regexp.Compile(expression); err != nil {
			return fmt.Errorf("shape %s: %w", name, err)
		}
		for member, m := range s.Members {
			if t.Shapes[m.Shape] == nil {
				return fmt.Errorf("member %s.%s: no shape %q", name, member, m.Shape)
			}
		}
	}
	return nil
}

// format writes one operation and one shape a line, so that a change of a
// table can be read.
func format(t *model.Service) ([]byte, error) {
	head := *t
	head.Operations, head.Shapes = nil, nil
	raw, err := json.Marshal(head)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	b.Write(bytes.TrimSuffix(raw, []byte(`"operations":null,"shapes":null}`)))
	b.WriteString("\n\"operations\": {")
	if err := lines(&b, t.Operations); err != nil {
		return nil, err
	}
	b.WriteString("\n},\n\"shapes\": {")
	if err := lines(&b, t.Shapes); err != nil {
		return nil, err
	}
	b.WriteString("\n}}\n")
	return b.Bytes(), nil
}

func lines[V any](b *bytes.Buffer, m map[string]V) error {
	for i, name := range slices.Sorted(maps.Keys(m)) {
		raw, err := json.Marshal(m[name])
		if err != nil {
			return err
		}
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(b, "\n%q: %s", name, raw)
	}
	return nil
}
