package wire

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"reflect"
	"testing"

	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
)

// planOf is the plan of an operation's input.
func planOf(t testing.TB, s *Service, op string, in reflect.Type) *node {
	n, err := s.planner.plan(s.ops[op].Input, in)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// decoded checks the result of a decoder: a SerializationError, or an input that
// can be validated.
func decoded(t *testing.T, n *node, v reflect.Value, err error) bool {
	var serialization *SerializationError
	if err != nil && !errors.As(err, &serialization) {
		t.Fatalf("err = %T %v", err, err)
	}
	if err == nil {
		_ = validate(n, v)
	} else if len(err.Error()) > 600 {
		t.Fatalf("a message of %d bytes", len(err.Error()))
	}
	return err == nil
}

// FuzzJSON checks that what was read from JSON is the same when it is written
// and read once more.
func FuzzJSON(f *testing.F) {
	f.Add([]byte(`{"repositoryName":"a/b","tags":[{"Key":"k","Value":"\u00e9"}],"imageTagMutability":"MUTABLE"}`))
	f.Add([]byte(`{"encryptionConfiguration":{"encryptionType":"KMS","kmsKey":"k"},"x":[[[{"a":null}]]]} `))
	f.Add([]byte(`{"imageScanningConfiguration":{"scanOnPush":true},"tags":null}{`))
	s := newService(f, "ecr", Options{})
	typ := reflect.TypeFor[ecr.CreateRepositoryInput]()
	n := planOf(f, s, "CreateRepository", typ)
	f.Fuzz(func(t *testing.T, body []byte) {
		first, second := reflect.New(typ).Elem(), reflect.New(typ).Elem()
		if !decoded(t, n, first, readJSON(bytes.NewBuffer(bytes.Clone(body)), n, first)) {
			return
		}
		once := appendJSON(nil, n, first)
		if err := readJSON(bytes.NewBuffer(bytes.Clone(once)), n, second); err != nil {
			t.Fatalf("%s: %v", once, err)
		}
		if twice := appendJSON(nil, n, second); !bytes.Equal(once, twice) {
			t.Fatalf("%s became %s", once, twice)
		}
	})
}

// FuzzForm checks that no form crashes the decoder or makes it do more work than
// the form's length justifies.
func FuzzForm(f *testing.F) {
	f.Add("Action=SimulatePrincipalPolicy", "PolicySourceArn=a&ActionNames.member.1=s3%3AGetObject&PolicyExclusionList.member.1.PolicyArn=x")
	f.Add("", "ContextEntries.member.1.ContextKeyValues.member.1=a&ContextEntries.member.1.ContextKeyName=k&ContextEntries.member.2=")
	f.Add("", "PolicyExclusionList.member.1.InlinePolicyIdentifier.PolicyName=p&MaxItems=7&PolicyExclusionList.member.1.PolicyArn=x")
	s := newService(f, "iam", Options{})
	Union[iamtypes.PolicyIdentifier](s, &iamtypes.PolicyIdentifierMemberInlinePolicyIdentifier{}, &iamtypes.PolicyIdentifierMemberPolicyArn{})
	typ := reflect.TypeFor[iam.SimulatePrincipalPolicyInput]()
	n := planOf(f, s, "SimulatePrincipalPolicy", typ)
	f.Fuzz(func(t *testing.T, query, body string) {
		v := reflect.New(typ).Elem()
		params, err := parseForm(query, body)
		if err == nil {
			r := formReader{form: params}
			err = r.structure(n, v)
			if err == nil && len(r.path) != 0 {
				t.Fatalf("the path is left at %q", r.path)
			}
		}
		if decoded(t, n, v, err) {
			_ = appendXML(nil, "X", n, v)
		}
	})
}

// FuzzREST does the same for what comes in the query string.
func FuzzREST(f *testing.F) {
	f.Add("domain=some-domain&repository=repo&format=npm&endpointType=ipv4&max-results=7", []byte(`{}`))
	f.Add("domain=%ff&domain=x&max-results=1e3", []byte(`{"nextToken":1}`))
	s := newService(f, "codeartifact", Options{})
	typ := reflect.TypeFor[codeartifact.ListPackageVersionsInput]()
	o := *s.ops["ListPackageVersions"]
	o.in = planOf(f, s, o.name, typ)
	f.Fuzz(func(t *testing.T, query string, body []byte) {
		r := httptest.NewRequest(http.MethodPost, "/", nil)
		r.URL = &url.URL{Path: o.Path, RawQuery: query}
		x := &exchange{Service: s, r: r, op: &o, body: bytes.NewBuffer(bytes.Clone(body))}
		v := reflect.New(typ).Elem()
		decoded(t, o.in, v, s.proto.decode(x, v))
	})
}
