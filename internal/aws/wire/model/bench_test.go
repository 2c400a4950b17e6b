package model_test

import (
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/aws/wire/model"
)

// BenchmarkLoad reads all tables, as every start does.
func BenchmarkLoad(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		for _, service := range []string{"ecr", "codeartifact", "sts", "iam", "secretsmanager", "signer"} {
			if _, err := model.Load(service); err != nil {
				b.Fatal(err)
			}
		}
	}
}
