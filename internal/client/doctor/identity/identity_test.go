package identity_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
	"github.com/gatehouse-registry/gatehouse/internal/client/doctor/identity"
)

func TestEntity(t *testing.T) {
	for arn, want := range map[string]string{
		"arn:aws:iam::111122223333:user/ci":                       "user ci",
		"arn:aws:iam::111122223333:user/team/build/ci":            "user ci",
		"arn:aws:sts::111122223333:assumed-role/deploy/session-1": "role deploy",
		"arn:aws-cn:sts::111122223333:assumed-role/deploy/s":      "role deploy",
		"arn:aws:iam::111122223333:root":                          " ",
		"arn:aws:sts::111122223333:federated-user/bob":            " ",
		"nothing": " ",
		"":        " ",
	} {
		kind, name := identity.Caller{ARN: arn}.Entity()
		if got := kind + " " + name; got != want {
			t.Errorf("%s: %q", arn, got)
		}
	}
}

// The line grants the missing permissions to the caller in one policy, and can be
// run again. There is no line if IAM cannot grant them.
func TestGrant(t *testing.T) {
	ci := identity.Caller{Account: "111122223333", ARN: "arn:aws:iam::111122223333:user/ci"}
	role := identity.Caller{Account: "111122223333", ARN: "arn:aws-us-gov:sts::111122223333:assumed-role/it's/s"}
	sso := identity.Caller{Account: "111122223333", ARN: "arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_dev_0/ada"}
	bearer := identity.Permission{Service: "codeartifact", Domain: "acme", Missing: credential.ActionBearer}
	for name, c := range map[string]struct {
		caller identity.Caller
		req    identity.Permission
		want   []string
	}{
		"ECR": {ci, identity.Permission{Service: "ecr", Missing: credential.ActionECR}, []string{
			"aws iam put-user-policy --user-name ci --policy-name gatehouse-ecr-tokens ", `"Action":"ecr:GetAuthorizationToken","Resource":"*"`,
		}},
		"both of CodeArtifact": {ci, bearer, []string{
			"--policy-name gatehouse-codeartifact-acme ", `"arn:aws:codeartifact:eu-west-1:111122223333:domain/acme"`, credential.ActionCodeArtifact, credential.ActionBearer,
		}},
		"another's domain": {ci, identity.Permission{Service: "codeartifact", Domain: "acme", Owner: "444455556666", Missing: credential.ActionCodeArtifact}, []string{
			`"arn:aws:codeartifact:eu-west-1:444455556666:domain/acme"`,
		}},
		"a role, quoted":  {role, bearer, []string{`put-role-policy --role-name 'it'\''s' `, "arn:aws-us-gov:codeartifact:"}},
		"Identity Center": {sso, bearer, nil},
		"nothing missing": {ci, identity.Permission{Service: "ecr"}, nil},
		"something else":  {ci, identity.Permission{Service: "codeartifact", Missing: "codeartifact:GetRepositoryEndpoint"}, nil},
		"nobody in IAM":   {identity.Caller{ARN: "arn:aws:iam::111122223333:root"}, bearer, nil},
		"nobody is known": {identity.Caller{}, bearer, nil},
	} {
		got := c.caller.Grant(c.req, "eu-west-1")
		if (got == "") != (c.want == nil) {
			t.Errorf("%s: %q", name, got)
		}
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("%s: no %q in %s", name, want, got)
			}
		}
	}
}

func TestUntil(t *testing.T) {
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for after, want := range map[time.Duration]string{
		12 * time.Hour:             "2026-01-02 15:04 UTC, in 12h0m",
		90*time.Minute + 31e9:      "2026-01-02 04:34 UTC, in 1h31m",
		10 * time.Minute:           "2026-01-02 03:14 UTC, in 10m",
		20 * time.Second:           "2026-01-02 03:04 UTC, in less than a minute",
		0:                          "2026-01-02 03:04 UTC, which is over",
		-time.Hour - 4*time.Minute: "2026-01-02 02:00 UTC, which is over",
	} {
		if got := identity.Until(now.Add(after), now); got != want {
			t.Errorf("%v: %s", after, got)
		}
	}
}

// endpoint is STS, ECR and CodeArtifact; it denies the actions in denied.
func endpoint(t *testing.T, denied ...string) string {
	deny := func(w http.ResponseWriter, action string) bool {
		for _, d := range denied {
			if d == action {
				w.Header().Set("X-Amzn-ErrorType", "AccessDeniedException")
				w.WriteHeader(http.StatusForbidden)
				fmt.Fprintf(w, `{"message":"User: x is not authorized to perform: %s on resource: *"}`, action)
				return true
			}
		}
		return false
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Header.Get("X-Amz-Target") != "":
			if !deny(w, credential.ActionECR) {
				fmt.Fprint(w, `{"authorizationData":[{"authorizationToken":"QVdTOnNlY3JldA==","expiresAt":4102444800,"proxyEndpoint":"http://`+r.Host+`"}]}`)
			}
		case r.URL.Path == "/v1/authorization-token":
			if r.URL.Query().Get("duration") != "900" {
				t.Errorf("asked for %s seconds", r.URL.Query().Get("duration"))
			}
			if !deny(w, credential.ActionCodeArtifact) && !deny(w, credential.ActionBearer) {
				fmt.Fprint(w, `{"authorizationToken":"secret","expiration":4102444800}`)
			}
		case r.URL.Path == "/v1/domains":
			if !deny(w, "codeartifact:ListDomains") {
				fmt.Fprint(w, `{"domains":[{"name":"acme","owner":"111122223333"},{"name":"zoo","owner":"111122223333"}]}`)
			}
		default:
			fmt.Fprint(w, `<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::111122223333:user/ci</Arn><UserId>AIDAX</UserId><Account>111122223333</Account></GetCallerIdentityResult></GetCallerIdentityResponse>`)
		}
	}))
	t.Cleanup(s.Close)
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "credentials"), []byte("[ci]\naws_access_key_id = AKIAX\naws_secret_access_key = hidden\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "config"), []byte("[profile ci]\nregion = eu-west-1\nendpoint_url = "+s.URL+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"AWS_CONFIG_FILE": filepath.Join(dir, "config"), "AWS_SHARED_CREDENTIALS_FILE": filepath.Join(dir, "credentials"), "AWS_PROFILE": "",
		"AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": "", "AWS_SESSION_TOKEN": "", "AWS_REGION": "", "AWS_DEFAULT_REGION": "",
	} {
		t.Setenv(name, value)
	}
	return s.URL
}

func TestAnswer(t *testing.T) {
	url := endpoint(t)
	q := identity.Question{AWS: credential.AWS{Profile: "ci"}, Options: []authtoken.Option{authtoken.CacheDir(t.TempDir())}}
	r, err := identity.Answer(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	if r.Account != "111122223333" || r.UserID != "AIDAX" || r.Profile != "ci" || r.Region != "eu-west-1" || r.Endpoints.ECR != url {
		t.Errorf("%+v", r)
	}
	if c := r.Credentials; c.Kind != "static" || c.AccessKeyID != "AKIAX" || c.Temporary || c.Expires != nil {
		t.Errorf("%+v", c)
	}
	if len(r.Tokens) != 3 || r.Refused("ecr") || r.Refused("codeartifact") || r.Tokens[2].Domain != "zoo" {
		t.Errorf("%+v", r.Tokens)
	}
	var text strings.Builder
	if err := r.WriteText(&text, time.Now()); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`arn +arn:aws:iam::111122223333:user/ci`, `endpoint +` + url, `token of codeartifact acme +yes`, `credentials +static, AKIAX from .*, does not expire`} {
		if !regexp.MustCompile(`(?m)^` + want + `$`).MatchString(text.String()) {
			t.Errorf("no %q in:\n%s", want, text.String())
		}
	}
	out, err := json.Marshal(r)
	if err != nil || strings.Contains(string(out)+text.String(), "hidden") || strings.Contains(string(out)+text.String(), "secret") {
		t.Errorf("%v, a secret in\n%s%s", err, out, text.String())
	}
}

// Which of the two permissions is missing, and what stays unknown.
func TestAnswer_Refusals(t *testing.T) {
	for _, denied := range []string{credential.ActionECR, credential.ActionCodeArtifact, credential.ActionBearer, "codeartifact:ListDomains"} {
		t.Run(denied, func(t *testing.T) {
			endpoint(t, denied)
			q := identity.Question{AWS: credential.AWS{Profile: "ci"}}
			r, err := identity.Answer(t.Context(), q)
			if err != nil {
				t.Fatal(err)
			}
			if denied == "codeartifact:ListDomains" {
				if len(r.Tokens) != 1 || !strings.Contains(r.Unlisted, denied) {
					t.Errorf("%+v", r)
				}
				return
			}
			service := "codeartifact"
			if denied == credential.ActionECR {
				service = "ecr"
			}
			for _, p := range r.Tokens {
				if p.Service != service {
					continue
				}
				if p.Allowed || p.Missing != denied || !strings.HasPrefix(p.Fix, "aws iam put-user-policy --user-name ci ") || p.Problem == "" {
					t.Errorf("%+v", p)
				}
			}
			if !r.Refused(service) {
				t.Error("not refused")
			}
		})
	}
}

func TestAnswer_NoCredentials(t *testing.T) {
	endpoint(t)
	if _, err := identity.Answer(t.Context(), identity.Question{AWS: credential.AWS{Profile: "nobody"}}); err == nil || !strings.Contains(err.Error(), `no AWS profile "nobody"`) {
		t.Error(err)
	}
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	if _, err := identity.Answer(t.Context(), identity.Question{}); err == nil || !strings.Contains(err.Error(), "no AWS credentials were found") {
		t.Error(err)
	}
}
