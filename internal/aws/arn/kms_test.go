package arn_test

import (
	"regexp"
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/aws/arn"
)

func TestDefaultKMSKey(t *testing.T) {
	key := arn.DefaultKMSKey("ecr", "eu-west-1", "111122223333")
	if !regexp.MustCompile(`^arn:aws:kms:eu-west-1:111122223333:key/[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`).MatchString(key) {
		t.Errorf("key = %s", key)
	}
	if arn.DefaultKMSKey("ecr", "eu-west-1", "111122223333") != key {
		t.Error("the key is another one each time")
	}
	for _, other := range []string{
		arn.DefaultKMSKey("codeartifact", "eu-west-1", "111122223333"),
		arn.DefaultKMSKey("ecr", "us-east-1", "111122223333"),
		arn.DefaultKMSKey("ecr", "eu-west-1", "111122223334"),
	} {
		if other[len(other)-36:] == key[len(key)-36:] {
			t.Errorf("%s and %s have the same id", key, other)
		}
	}
}
