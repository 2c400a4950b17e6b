package sigv4_test

import (
	"testing"

	"github.com/gatehouse-registry/gatehouse/internal/aws/sigv4"
)

// A request for an ECR authorization token, as the Go SDK sends it.
func BenchmarkVerify(b *testing.B) {
	body := []byte("{}")
	unsigned := post(b, "http://127.0.0.1:4283/", body)
	unsigned.Header.Set("Content-Type", "application/x-amz-json-1.1")
	unsigned.Header.Set("X-Amz-Target", "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken")
	unsigned.Header.Set("Amz-Sdk-Invocation-Id", "01234567-89ab-cdef-0123-456789abcdef")
	unsigned.Header.Set("Amz-Sdk-Request", "attempt=1; max=3")
	r := sign(b, unsigned, vectorSecret, body, noon)

	b.Run("cached", func(b *testing.B) {
		verifier := sigv4.New(sigv4.Config{Now: clockAt(noon)})
		b.ReportAllocs()
		for b.Loop() {
			if _, err := verifier.Verify(r, sigv4.Protected, "ecr", body, knownSecret); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("cold", func(b *testing.B) {
		verifier := sigv4.New(sigv4.Config{Now: clockAt(noon)})
		b.ReportAllocs()
		for b.Loop() {
			// The key of a wrong signature is never cached, so each request
			// derives it.
			if _, err := verifier.Verify(r, sigv4.Protected, "ecr", body, func(*sigv4.Credential) (string, error) {
				return "a wrong secret of the same length, forty", nil
			}); err == nil {
				b.Fatal("verified")
			}
		}
	})
}
