package model_test

import (
	"cmp"
	"regexp"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire/model"
)

// Package wire compiles a pattern when the first value arrives.
func TestLoad_PatternsCompile(t *testing.T) {
	for _, service := range []string{"ecr", "codeartifact", "sts", "iam", "secretsmanager", "signer"} {
		s, err := model.Load(service)
		if err != nil {
			t.Fatal(err)
		}
		patterns := 0
		for name, shape := range s.Shapes {
			if shape.Pattern == "" {
				continue
			}
			patterns++
			if _, err := regexp.Compile(`\A(?:` + cmp.Or(shape.Expression, shape.Pattern) + `)\z`); err != nil {
				t.Errorf("%s: the shape %s: %v", service, name, err)
			}
		}
		if patterns == 0 {
			t.Errorf("%s has no patterns", service)
		}
	}
}
