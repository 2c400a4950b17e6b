package credential_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"github.com/gatehouse-registry/gatehouse/authtoken"
	"github.com/gatehouse-registry/gatehouse/internal/client/credential"
)

// A role of a profile is assumed where the profile's endpoint is, however that is
// given.
func TestLoad_AssumesRolesAtTheEndpoint(t *testing.T) {
	var asked []string
	sts := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		action := r.FormValue("Action")
		asked = append(asked, action+" "+r.FormValue("RoleArn"))
		fmt.Fprintf(w, `<%[1]sResponse><%[1]sResult><Credentials><AccessKeyId>ASIAX</AccessKeyId><SecretAccessKey>x</SecretAccessKey>`+
			`<SessionToken>y</SessionToken><Expiration>2099-01-01T00:00:00Z</Expiration></Credentials></%[1]sResult></%[1]sResponse>`, action)
	}))
	defer sts.Close()
	dir := t.TempDir()
	file := filepath.Join(dir, "config")
	const base = "[profile base]\naws_access_key_id = AKIAX\naws_secret_access_key = x\n[profile role]\nregion = us-east-1\nrole_arn = arn:aws:iam::111122223333:role/ci\n"
	for name, c := range map[string]struct {
		config, env string
		told        credential.AWS
		want        string
	}{
		"in the profile":        {config: base + "source_profile = base\nendpoint_url = " + sts.URL + "\n", want: "AssumeRole"},
		"in the environment":    {config: base + "source_profile = base\n", env: sts.URL, want: "AssumeRole"},
		"on the command line":   {config: base + "source_profile = base\n", told: credential.AWS{EndpointURL: sts.URL}, want: "AssumeRole"},
		"with another identity": {config: base + "web_identity_token_file = " + file + "\nendpoint_url = " + sts.URL + "\n", want: "AssumeRoleWithWebIdentity"},
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(file, []byte(c.config), 0o600); err != nil {
				t.Fatal(err)
			}
			t.Setenv("AWS_CONFIG_FILE", file)
			t.Setenv("AWS_SHARED_CREDENTIALS_FILE", filepath.Join(dir, "none"))
			t.Setenv("AWS_ENDPOINT_URL", c.env)
			if c.env == "" {
				os.Unsetenv("AWS_ENDPOINT_URL")
			}
			asked = nil
			c.told.Profile = "role"
			cfg, err := c.told.Load(t.Context(), "")
			if err != nil {
				t.Fatal(err)
			}
			got, err := cfg.Credentials.Retrieve(t.Context())
			if err != nil || got.AccessKeyID != "ASIAX" {
				t.Fatalf("%s, %v", got.AccessKeyID, err)
			}
			if len(asked) != 1 || asked[0] != c.want+" arn:aws:iam::111122223333:role/ci" {
				t.Errorf("asked %q", asked)
			}
		})
	}
}

// Without credentials, every use of the configuration says so.
func TestLoad_NoCredentials(t *testing.T) {
	file := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(file, []byte("[profile process]\nregion = us-east-1\ncredential_process = false\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("AWS_CONFIG_FILE", file)
	cfg, err := credential.AWS{Profile: "process"}.Load(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	_, err = cfg.Credentials.Retrieve(t.Context())
	var missing *authtoken.CredentialsError
	if !errors.As(err, &missing) {
		t.Errorf("%T: %v", err, err)
	}
	if _, err := authtoken.ECR(cfg, authtoken.InMemory()).Token(t.Context()); !errors.As(err, &missing) || errors.As(missing.Err, &missing) {
		t.Errorf("said twice: %v", err)
	}
}
