package wire

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/codeartifact"
	catypes "github.com/aws/aws-sdk-go-v2/service/codeartifact/types"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	ecrtypes "github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	iamtypes "github.com/aws/aws-sdk-go-v2/service/iam/types"
	"github.com/aws/aws-sdk-go-v2/service/sts"
	ststypes "github.com/aws/aws-sdk-go-v2/service/sts/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// failing serves all four services with one operation each that returns err.
func failing(t *testing.T, err error) string {
	e, c, s, i := newService(t, "ecr", Options{}), newService(t, "codeartifact", Options{}), newService(t, "sts", Options{}), newService(t, "iam", Options{})
	Handle(e, func(context.Context, *ecr.DescribeRepositoriesInput) (*ecr.DescribeRepositoriesOutput, error) {
		return nil, err
	})
	Handle(c, func(context.Context, *codeartifact.CreateDomainInput) (*codeartifact.CreateDomainOutput, error) {
		return nil, err
	})
	Handle(s, func(context.Context, *sts.AssumeRoleWithWebIdentityInput) (*sts.AssumeRoleWithWebIdentityOutput, error) {
		return nil, err
	})
	Handle(i, func(context.Context, *iam.GetRoleInput) (*iam.GetRoleOutput, error) { return nil, err })
	return serve(t, NewMux(e, c, s, i))
}

// failures calls that operation of each service.
func failures(t *testing.T, err error) map[string]error {
	c, got := config(failing(t, err)), map[string]error{}
	_, got["ecr"] = ecr.NewFromConfig(c).DescribeRepositories(t.Context(), nil)
	_, got["codeartifact"] = codeartifact.NewFromConfig(c).CreateDomain(t.Context(), &codeartifact.CreateDomainInput{Domain: aws.String("some-domain")})
	_, got["sts"] = sts.NewFromConfig(c).AssumeRoleWithWebIdentity(t.Context(), &sts.AssumeRoleWithWebIdentityInput{
		RoleArn: aws.String("arn:aws:iam::111122223333:role/r"), RoleSessionName: aws.String("s1"), WebIdentityToken: aws.String("eyJ.eyJ.x"),
	})
	_, got["iam"] = iam.NewFromConfig(c).GetRole(t.Context(), &iam.GetRoleInput{RoleName: aws.String("r")})
	return got
}

func status(err error) int {
	var r *smithyhttp.ResponseError
	if !errors.As(err, &r) {
		return 0
	}
	return r.HTTPStatusCode()
}

func TestErrors_Modelled(t *testing.T) {
	const text = "no <such> thing & more: 'é'"
	var notFound *ecrtypes.RepositoryNotFoundException
	if err := failures(t, &ecrtypes.RepositoryNotFoundException{Message: aws.String(text)})["ecr"]; !errors.As(err, &notFound) || notFound.ErrorMessage() != text || status(err) != 400 {
		t.Errorf("ecr: %v", err)
	}
	var server *ecrtypes.ServerException
	if err := failures(t, &ecrtypes.ServerException{Message: aws.String(text)})["ecr"]; !errors.As(err, &server) || status(err) != 500 {
		t.Errorf("ecr: %v", err)
	}
	// Newer than the models, and without a message.
	var exclusion *ecrtypes.ExclusionNotFoundException
	if err := failures(t, &ecrtypes.ExclusionNotFoundException{})["ecr"]; !errors.As(err, &exclusion) {
		t.Errorf("ecr: %v", err)
	}
	var conflict *catypes.ConflictException
	err := failures(t, &catypes.ConflictException{Message: aws.String(text), ResourceId: aws.String("d"), ResourceType: catypes.ResourceTypeDomain})["codeartifact"]
	if !errors.As(err, &conflict) || conflict.ErrorMessage() != text || *conflict.ResourceId != "d" || conflict.ResourceType != catypes.ResourceTypeDomain || status(err) != 409 {
		t.Errorf("codeartifact: %v", err)
	}
	var rejected *ststypes.IDPRejectedClaimException
	err = failures(t, &ststypes.IDPRejectedClaimException{Message: aws.String(text)})["sts"]
	if !errors.As(err, &rejected) || rejected.ErrorMessage() != text || rejected.ErrorCode() != "IDPRejectedClaim" || status(err) != 403 {
		t.Errorf("sts: %v", err)
	}
	var missing *iamtypes.NoSuchEntityException
	if err := failures(t, &iamtypes.NoSuchEntityException{Message: aws.String(text)})["iam"]; !errors.As(err, &missing) || missing.ErrorMessage() != text || status(err) != 404 {
		t.Errorf("iam: %v", err)
	}
	var failed *iamtypes.ServiceFailureException
	if err := failures(t, &iamtypes.ServiceFailureException{Message: aws.String(text)})["iam"]; !errors.As(err, &failed) || status(err) != 500 {
		t.Errorf("iam: %v", err)
	}
}

func TestErrors_Plain(t *testing.T) {
	for service, err := range failures(t, &Error{Code: "AccessDenied", Message: "no & <never>", Status: 403}) {
		var api smithy.APIError
		if !errors.As(err, &api) || api.ErrorCode() != "AccessDenied" || api.ErrorMessage() != "no & <never>" || status(err) != 403 {
			t.Errorf("%s: %v", service, err)
		}
	}
}

func TestErrors_UnknownTextIsHidden(t *testing.T) {
	for service, err := range failures(t, errors.New("disk on fire at /secret/path")) {
		var api smithy.APIError
		if !errors.As(err, &api) || api.ErrorCode() != "InternalFailure" || status(err) != 500 || strings.Contains(err.Error(), "fire") {
			t.Errorf("%s: %v", service, err)
		}
	}
}

func TestErrors_RetryAfter(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{&Error{Code: "ThrottlingException", Status: 429}, "1"},
		{&Error{Code: "ThrottlingException", Status: 429, RetryAfter: 1500 * time.Millisecond}, "2"},
		{&catypes.ThrottlingException{Message: aws.String("slow"), RetryAfterSeconds: aws.Int32(7)}, "7"},
		{&catypes.ThrottlingException{Message: aws.String("slow")}, "1"},
	} {
		for service, err := range failures(t, c.err) {
			var r *smithyhttp.ResponseError
			var modelled *catypes.ThrottlingException
			if errors.As(c.err, &modelled) && service != "codeartifact" {
				continue
			}
			if !errors.As(err, &r) || r.Response.Header.Get("Retry-After") != c.want || r.HTTPStatusCode() != http.StatusTooManyRequests {
				t.Errorf("%s, %v: %v", service, c.err, err)
			}
		}
	}
}

func TestErrors_UnhandledOperation(t *testing.T) {
	e, c, i := newService(t, "ecr", Options{}), newService(t, "codeartifact", Options{}), newService(t, "iam", Options{})
	cfg := config(serve(t, NewMux(e, c, i)))
	_, ecrErr := ecr.NewFromConfig(cfg).DescribeRegistry(t.Context(), nil)
	_, caErr := codeartifact.NewFromConfig(cfg).PublishPackageVersion(t.Context(), &codeartifact.PublishPackageVersionInput{
		Domain: aws.String("d1"), Repository: aws.String("r1"), Format: "generic", Package: aws.String("p"), PackageVersion: aws.String("1"),
		AssetName: aws.String("a"), AssetSHA256: aws.String(strings.Repeat("0", 64)), AssetContent: strings.NewReader("x"),
	})
	_, iamErr := iam.NewFromConfig(cfg).ListUsers(t.Context(), nil)
	for op, err := range map[string]error{"DescribeRegistry": ecrErr, "PublishPackageVersion": caErr, "ListUsers": iamErr} {
		var api smithy.APIError
		if !errors.As(err, &api) || !strings.HasPrefix(api.ErrorCode(), "NotImplemented") || !strings.Contains(api.ErrorMessage(), op) || status(err) != 501 {
			t.Errorf("%s: %v", op, err)
		}
	}
	if e.Handled("DescribeRegistry") || e.Handled("Nonsense") {
		t.Error("nothing is handled")
	}
}

func TestMapError_SeesEveryError(t *testing.T) {
	denied := errors.New("denied")
	var seen []error
	var told []string
	o := Options{
		Failed: func(_ context.Context, err error, e Error) {
			told = append(told, fmt.Sprintf("%T %s %d", err, e.Code, e.Status))
		},
		RequestID: func(r *http.Request) string { return r.Header.Get("X-Request-Name") },
		MapError: func(err error) error {
			seen = append(seen, err)
			var v *ValidationError
			if errors.As(err, &v) {
				return &ecrtypes.InvalidParameterException{Message: aws.String(v.InvalidParameter())}
			}
			return &Error{Code: "Mapped", Message: err.Error(), Status: 418}
		},
		Authenticate: func(r *http.Request, op string, _ []byte) (context.Context, error) {
			if op == "DeleteRepository" {
				return nil, denied
			}
			return r.Context(), nil
		},
	}
	e := newService(t, "ecr", o)
	Handle(e, func(context.Context, *ecr.CreateRepositoryInput) (*ecr.CreateRepositoryOutput, error) {
		t.Error("the handler must not see an invalid request")
		return nil, nil
	})
	client := ecr.NewFromConfig(config(serve(t, e)))
	_, err := client.DeleteRepository(t.Context(), &ecr.DeleteRepositoryInput{RepositoryName: aws.String("r")})
	if status(err) != 418 || !strings.Contains(err.Error(), "Mapped: denied") {
		t.Errorf("DeleteRepository: %v", err)
	}
	_, err = client.CreateRepository(t.Context(), &ecr.CreateRepositoryInput{RepositoryName: aws.String("UPPER")})
	var invalid *ecrtypes.InvalidParameterException
	want := "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression '[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*(\\/[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*)*''"
	if !errors.As(err, &invalid) || invalid.ErrorMessage() != want {
		t.Errorf("CreateRepository: %v", err)
	}
	if len(seen) != 2 || !errors.Is(seen[0], denied) {
		t.Errorf("seen %v", seen)
	}
	if want := []string{"*errors.errorString Mapped 418", "*wire.ValidationError InvalidParameterException 400"}; !slices.Equal(told, want) {
		t.Errorf("told %q", told)
	}
}

func TestIntercept_WrapsHandler(t *testing.T) {
	type key struct{}
	s := newService(t, "sts", Options{
		Intercept: func(ctx context.Context, op string, in any, next func(context.Context) (any, error)) (any, error) {
			if _, ok := in.(*sts.GetCallerIdentityInput); !ok || op != "GetCallerIdentity" {
				t.Errorf("op %s, in %T", op, in)
			}
			out, err := next(context.WithValue(ctx, key{}, "seen"))
			if _, ok := out.(*sts.GetCallerIdentityOutput); !ok {
				t.Errorf("out %T", out)
			}
			return out, err
		},
	})
	Handle(s, func(ctx context.Context, _ *sts.GetCallerIdentityInput) (*sts.GetCallerIdentityOutput, error) {
		return &sts.GetCallerIdentityOutput{Account: aws.String(ctx.Value(key{}).(string))}, nil
	})
	out, err := sts.NewFromConfig(config(serve(t, s))).GetCallerIdentity(t.Context(), nil)
	if err != nil || *out.Account != "seen" {
		t.Fatalf("%v, %v", out, err)
	}
}

// Clients look for an error's code in different places, some of them in one
// alone: the header, __type or code of a JSON body, Code of an XML one.
func TestErrors_CodeInEveryPlace(t *testing.T) {
	url := failing(t, &ecrtypes.RepositoryNotFoundException{Message: aws.String("no <such> thing")})
	const form = "application/x-www-form-urlencoded"
	for _, c := range []struct {
		description  string
		method, path string
		header       map[string]string
		body         string
		status       int
		code, xml    string
	}{
		{"ECR, an error of the model", "POST", "/", map[string]string{"X-Amz-Target": target + "DescribeRepositories"}, "{}", 400, "RepositoryNotFoundException", ""},
		{"ECR, an unknown operation", "POST", "/", map[string]string{"X-Amz-Target": target + "Nonsense"}, "{}", 400, "UnknownOperationException", ""},
		{"ECR, malformed JSON", "POST", "/", map[string]string{"X-Amz-Target": target + "DescribeRepositories"}, "{", 400, "SerializationException", ""},
		{"an unknown service's target", "POST", "/", map[string]string{"X-Amz-Target": "DynamoDB_20120810.ListTables"}, "{}", 400, "UnknownOperationException", ""},
		{"CodeArtifact, an error of the model", "POST", "/v1/domain?domain=some-domain", nil, "{}", 400, "RepositoryNotFoundException", ""},
		{"CodeArtifact, a wrong method", "PUT", "/v1/domain", nil, "{}", 405, "MethodNotAllowedException", ""},
		{"an unknown path", "GET", "/v1/nonsense", nil, "", 404, "UnknownOperationException", ""},
		{"a form for an unknown path", "POST", "/iam/", map[string]string{"Content-Type": form}, "Action=GetRole&Version=2010-05-08", 404, "", "UnknownOperation"},
		{"JSON for no service", "POST", "/", map[string]string{"Content-Type": "application/x-amz-json-1.1"}, "{}", 404, "UnknownOperationException", ""},
		{"a method that no service has", "PATCH", "/", nil, "", 404, "UnknownOperationException", ""},
		{"ECR, a wrong method", "GET", "/", map[string]string{"X-Amz-Target": target + "DescribeRepositories"}, "", 405, "MethodNotAllowedException", ""},
		{"a body that is too large", "POST", "/", map[string]string{"X-Amz-Target": target + "DescribeRepositories"}, strings.Repeat(" ", DefaultMaxBody+1), 413, "RequestEntityTooLargeException", ""},
		{"a form that is too large", "POST", "/", map[string]string{"Content-Type": form}, strings.Repeat(" ", DefaultMaxBody+1), 413, "", "RequestEntityTooLarge"},
		{"STS, a missing parameter", "POST", "/", map[string]string{"Content-Type": form}, "Action=AssumeRoleWithWebIdentity&Version=2011-06-15", 400, "", "ValidationError"},
		{"IAM, an unknown action", "POST", "/", map[string]string{"Content-Type": form}, "Action=Nonsense&Version=2010-05-08", 400, "", "InvalidAction"},
	} {
		got := send(t, c.method, url+c.path, c.header, strings.NewReader(c.body))
		if got.StatusCode != c.status || got.Header.Get("X-Amzn-Errortype") != cmp.Or(c.code, c.xml) {
			t.Errorf("%s: %d, X-Amzn-Errortype %q", c.description, got.StatusCode, got.Header.Get("X-Amzn-Errortype"))
		}
		if c.xml != "" {
			if !strings.Contains(got.text, "<Code>"+c.xml+"</Code><Message>") {
				t.Errorf("%s: %s", c.description, got.text)
			}
			continue
		}
		var body struct {
			Type    string `json:"__type"`
			Code    string `json:"code"`
			Message string `json:"message"`
		}
		if err := json.Unmarshal([]byte(got.text), &body); err != nil || body.Type != c.code || body.Code != c.code || body.Message == "" {
			t.Errorf("%s: %s: %v", c.description, got.text, err)
		}
	}
	if got := send(t, "POST", url, map[string]string{"X-Amz-Target": "DynamoDB_20120810.ListTables"}, strings.NewReader("{}")); got.Header.Get("Content-Type") != "application/x-amz-json-1.1" {
		t.Errorf("an unknown target is answered with %s", got.Header.Get("Content-Type"))
	}
}

// No error of a model has a member that would be in its body twice.
func TestErrors_NoMemberNamedCode(t *testing.T) {
	for _, service := range []string{"ecr", "codeartifact"} {
		s := newService(t, service, Options{})
		for name, shape := range s.table.Shapes {
			if shape.Status == 0 {
				continue
			}
			for member := range shape.Members {
				if m := strings.ToLower(member); m == "code" || m == "__type" {
					t.Errorf("%s of %s has the member %s", name, service, member)
				}
			}
		}
	}
}
