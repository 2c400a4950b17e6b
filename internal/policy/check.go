package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// Check is [Parse] for a document that is about to be stored: it also refuses
// what IAM refuses only when it is written. A document that is stored already is
// read with Parse, so that a new rule here never turns an old policy off. The
// error is a [*MalformedError].
func Check(document string, kind Kind) error {
	if kind == Resource || kind == Trust { // checkResource's rules are for identity policies
		_, err := Parse(document, kind)
		return err
	}
	resources, readable := resourcesOf(document)
	if readable {
		// IAM looks at the form of all resources before it looks at actions.
		for i, statement := range resources {
			for _, r := range statement {
				if err := checkResource(r); err != nil {
					if _, parseErr := Parse(document, kind); precedes(parseErr) {
						return parseErr
					}
					return atPath(fmt.Sprintf("Statement[%d].Resource", i), err)
				}
			}
		}
	}
	_, err := Parse(document, kind)
	return err
}

// precedes reports whether IAM answers err before it looks at resources.
func precedes(err error) bool {
	wrong, ok := err.(*MalformedError) //nolint:errorlint // Parse's errors are never wrapped
	return ok && (wrong.Message == syntaxErrors || wrong.Message == legacyParsing || strings.HasPrefix(wrong.Message, "Statement IDs (SID)"))
}

// CheckVersion refuses a document that is not of the current version of the
// language. IAM asks it of managed policies alone.
func CheckVersion(document string) error {
	var d struct{ Version string }
	if err := json.Unmarshal([]byte(document), &d); err != nil || d.Version == "2012-10-17" {
		return nil // what is not JSON is Check's to refuse
	}
	return detailed("Policy document must be version 2012-10-17 or greater.", `add "Version": "2012-10-17"`)
}

// resourcesOf returns the resources of each statement, and false for a document
// that is not of that form.
func resourcesOf(document string) ([][]string, bool) {
	var d struct{ Statement jsontext.Value }
	if err := json.Unmarshal([]byte(document), &d); err != nil {
		return nil, false
	}
	var out [][]string
	for _, raw := range elements(d.Statement) {
		var s struct{ Resource, NotResource jsontext.Value }
		if err := json.Unmarshal(raw, &s); err != nil {
			return nil, false
		}
		var texts []string
		for _, r := range append(elements(s.Resource), elements(s.NotResource)...) {
			var text string
			if err := json.Unmarshal(r, &text); err != nil {
				return nil, false
			}
			texts = append(texts, text)
		}
		out = append(out, texts)
	}
	return out, true
}

// elements returns the values of a list, or a value that stands alone.
func elements(raw jsontext.Value) []jsontext.Value {
	if len(raw) == 0 {
		return nil
	}
	var list []jsontext.Value
	if raw.Kind() == '[' && json.Unmarshal(raw, &list) == nil {
		return list
	}
	return []jsontext.Value{raw}
}

// partitions are AWS's.
var partitions = []string{"aws", "aws-cn", "aws-us-gov", "aws-iso", "aws-iso-b", "aws-iso-e", "aws-iso-f", "aws-eusc"}

// iamPaths are what the resource of an IAM ARN can begin with.
var iamPaths = []string{
	"user/", "federated-user/", "role/", "group/", "instance-profile/", "mfa/", "server-certificate/",
	"policy/", "sms-mfa/", "saml-provider/", "oidc-provider/", "report/", "access-report/",
}

// checkResource checks the form of a Resource element as IAM does when a policy
// is written, with IAM's own sentences.
func checkResource(s string) error {
	if s == "*" {
		return nil
	}
	parts := strings.SplitN(s, ":", 6)
	if len(parts) < 2 || parts[1] == "" {
		return malformed("Resource %s must be in ARN format or \"*\".", s)
	}
	if !isWild(parts[1]) && !slices.Contains(partitions, parts[1]) {
		full := append([]string{"arn"}, parts[1:]...)
		for len(full) < 6 {
			full = append(full, "*")
		}
		return malformed("Partition %q is not valid for resource %q.", parts[1], strings.Join(full, ":"))
	}
	switch {
	case parts[0] != "arn":
		return malformed("Resource %s must be in ARN format or \"*\".", s)
	case len(parts) == 2 || isWild(parts[2]):
		return detailed(vendorQualified, "%s", s)
	case parts[2] == "":
		return detailed(legacyParsing, "the ARN %s has no service", s)
	case len(parts) == 5 && !strings.HasSuffix(s, "*"):
		return detailed(legacyParsing, "the ARN %s lacks a colon: want arn:partition:service:region:account-id:resource", s)
	}
	return checkRegion(s, parts)
}

// checkRegion checks what IAM knows about the ARNs of its own and of S3.
func checkRegion(s string, parts []string) error {
	if len(parts) < 6 {
		return nil
	}
	switch service, region, resource := parts[2], parts[3], parts[5]; {
	case region != "" && !isWild(region) && service == "iam":
		return malformed("IAM resource %s cannot contain region information.", s)
	case region != "" && !isWild(region) && service == "s3":
		return malformed("Resource %s can not contain region information.", s)
	case service == "iam" && !isWild(resource) && !slices.ContainsFunc(iamPaths, func(path string) bool { return strings.HasPrefix(resource, path) }):
		return malformed("IAM resource path must either be \"*\" or start with %s.", strings.Join(iamPaths, ", "))
	}
	return nil
}

// isWild reports whether a part of an ARN can stand for several texts.
func isWild(s string) bool { return strings.ContainsAny(s, "*?$") }
