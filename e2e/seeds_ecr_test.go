package e2e

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/ecr/types"
	"github.com/aws/smithy-go"
)

func sha256Hex(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

// ecrToken calls the operation and returns its first entry.
func ecrToken(t *testing.T, c aws.Config, registries ...string) types.AuthorizationData {
	t.Helper()
	//lint:ignore SA1019 registryIds is deprecated, and clients send it
	out, err := ecr.NewFromConfig(c).GetAuthorizationToken(t.Context(), &ecr.GetAuthorizationTokenInput{RegistryIds: registries})
	if err != nil {
		t.Fatal(err)
	}
	return out.AuthorizationData[0]
}

// registryHost returns the AWS-shaped host of an account's registry.
func registryHost(account string) string { return account + ".dkr.ecr." + region + "." + suffix }

// pulls returns the status of a tags list of the repository "app".
func (g *fixture) pulls(owner, token string) int {
	status, _ := g.get(registryHost(owner), "/v2/app/tags/list", "Basic "+token)
	return status
}

func TestSeed10OpensEveryRegistryThatThePrincipalMayReach(t *testing.T) {
	g := newFixture(t)
	g.repositories(account, "acme")
	g.repositories(other, "acme")
	token := *ecrToken(t, g.profile(account)).AuthorizationToken
	if got := g.pulls(account, token); got != http.StatusOK {
		t.Errorf("its own registry: %d", got)
	}
	if got := g.pulls(other, token); got != http.StatusForbidden {
		t.Errorf("another account's registry, without leave: %d", got)
	}
	policy := `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"AWS":"` + account + `"},"Action":"ecr:ListImages"}]}`
	if _, err := ecr.NewFromConfig(g.profile(other)).SetRepositoryPolicy(t.Context(), &ecr.SetRepositoryPolicyInput{RepositoryName: aws.String("app"), PolicyText: &policy}); err != nil {
		t.Fatal(err)
	}
	if got := g.pulls(other, token); got != http.StatusOK {
		t.Errorf("another account's registry, with its leave: %d", got)
	}
	// The token carries the caller's current permissions: when they are removed, the
	// token loses them.
	bob := g.user("bob", `{"Effect":"Allow","Action":"ecr:*","Resource":"*"}`)
	token = *ecrToken(t, bob).AuthorizationToken
	if got := g.pulls(account, token); got != http.StatusOK {
		t.Errorf("bob: %d", got)
	}
	g.allow("bob")
	if got := g.pulls(account, token); got != http.StatusForbidden {
		t.Errorf("bob, who may nothing any more: %d", got)
	}
}

func TestSeed11TwelveHours(t *testing.T) {
	g := newFixture(t)
	g.repositories(account, "acme")
	data := ecrToken(t, g.profile(account))
	about(t, *data.ExpiresAt, time.Now().Add(12*time.Hour))
	g.advance(12*time.Hour - time.Minute)
	if got := g.pulls(account, *data.AuthorizationToken); got != http.StatusOK {
		t.Errorf("a minute before the end: %d", got)
	}
	g.advance(2 * time.Minute)
	status, body := g.get(registryHost(account), "/v2/app/tags/list", "Basic "+*data.AuthorizationToken)
	if status != http.StatusForbidden || !strings.Contains(body, "Your authorization token has expired. Reauthenticate and try again.") {
		t.Errorf("a minute after the end: %d %s", status, body)
	}
}

func TestSeed12DockerLogin(t *testing.T) {
	g := newFixture(t)
	data := ecrToken(t, g.profile(account))
	decoded, err := base64.StdEncoding.DecodeString(*data.AuthorizationToken)
	if err != nil {
		t.Fatal(err)
	}
	user, password, ok := strings.Cut(string(decoded), ":")
	if !ok || user != "AWS" || strings.Contains(password, ":") {
		t.Fatalf("decoded: user %q and a password of %d characters", user, len(password))
	}
	host := strings.TrimPrefix(g.url, "http://")
	if said := g.run(password, "docker", "login", "--username", user, "--password-stdin", host); !strings.Contains(said, "Login Succeeded") {
		t.Errorf("docker said %q", said)
	}
}

func TestSeed13GetLoginPassword(t *testing.T) {
	g := newFixture(t)
	g.repositories(account, "acme")
	for _, client := range []string{"aws1", "aws2"} {
		password := strings.TrimSuffix(g.run("", client, "ecr", "get-login-password"), "\n")
		if strings.ContainsAny(password, " \n:") {
			t.Errorf("%s printed more than the password", client)
		}
		if got := g.pulls(account, base64.StdEncoding.EncodeToString([]byte("AWS:"+password))); got != http.StatusOK {
			t.Errorf("%s: the password was answered with %d", client, got)
		}
	}
}

func TestSeed14AnswerCorrespondsToRegistryIds(t *testing.T) {
	g := newFixture(t)
	for _, ids := range [][]string{nil, {account}, {other, account}} {
		//lint:ignore SA1019 registryIds is deprecated, and clients send it
		out, err := ecr.NewFromConfig(g.profile(account)).GetAuthorizationToken(t.Context(), &ecr.GetAuthorizationTokenInput{RegistryIds: ids})
		if err != nil {
			t.Fatal(err)
		}
		want := ids
		if ids == nil {
			want = []string{account}
		}
		var got []string
		for _, d := range out.AuthorizationData {
			if d.AuthorizationToken == nil || d.ExpiresAt == nil || d.ProxyEndpoint == nil {
				t.Fatalf("an entry is incomplete: %+v", d)
			}
			_, host, _ := strings.Cut(*d.ProxyEndpoint, "://")
			id, _, _ := strings.Cut(host, ".")
			got = append(got, id)
			if !strings.HasPrefix(host, registryHost(id)) {
				t.Errorf("proxyEndpoint %s", *d.ProxyEndpoint)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("registryIds %v were answered with %v", ids, got)
		}
	}
	// Clients use the address of DescribeRepositories.
	g.repositories(account, "acme")
	repos, err := ecr.NewFromConfig(g.profile(account)).DescribeRepositories(t.Context(), &ecr.DescribeRepositoriesInput{})
	if err != nil {
		t.Fatal(err)
	}
	if endpoint := *ecrToken(t, g.profile(account)).ProxyEndpoint; "http://"+*repos.Repositories[0].RepositoryUri != endpoint+"/app" {
		t.Errorf("proxyEndpoint %s and repositoryUri %s disagree", endpoint, *repos.Repositories[0].RepositoryUri)
	}
}

func TestSeed15SizeIsNotFixed(t *testing.T) {
	g := newFixture(t)
	g.repositories(account, "acme")
	sizes := map[int]bool{}
	for _, name := range []string{"ab", strings.Repeat("a-long-session-name.", 3) + "1234"} {
		c, _ := g.session("role-"+name[:2]+"-"+strings.ToLower(time.Now().Format("150405.000000")[7:]), name)
		token := *ecrToken(t, c).AuthorizationToken
		sizes[len(token)] = true
		if got := g.pulls(account, token); got != http.StatusOK {
			t.Errorf("a token of %d characters: %d", len(token), got)
		}
	}
	if len(sizes) != 2 {
		t.Errorf("sizes %v: every token has the same", sizes)
	}
}

func TestSeed16Errors(t *testing.T) {
	g := newFixture(t)
	bob := g.user("bob")
	for _, ids := range [][]string{{"12"}, {"0000-0000-0001"}, slices.Repeat([]string{account}, 11)} {
		//lint:ignore SA1019 registryIds is deprecated, and clients send it
		_, err := ecr.NewFromConfig(g.profile(account)).GetAuthorizationToken(t.Context(), &ecr.GetAuthorizationTokenInput{RegistryIds: ids})
		if invalid := (*types.InvalidParameterException)(nil); !errors.As(err, &invalid) {
			t.Errorf("registryIds %v: %v", ids, err)
		}
	}
	// The model has no error for a denial. It arrives as an unknown error with code and
	// message.
	_, err := ecr.NewFromConfig(bob).GetAuthorizationToken(t.Context(), &ecr.GetAuthorizationTokenInput{})
	if api := (*smithy.GenericAPIError)(nil); !errors.As(err, &api) || api.Code != "AccessDeniedException" ||
		!strings.Contains(api.Message, "is not authorized to perform: ecr:GetAuthorizationToken on resource: *") {
		t.Errorf("err = %v", err)
	}
}

func TestSeed17JSONOnTheWire(t *testing.T) {
	g := newFixture(t)
	header := http.Header{"X-Amz-Target": {"AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"}, "Content-Type": {"application/x-amz-json-1.1"}}
	status, body := g.signed("ecr", http.MethodPost, "/", "{}", header)
	var answer struct {
		AuthorizationData []struct {
			AuthorizationToken string
			ExpiresAt          float64
			ProxyEndpoint      string
		}
	}
	d := json.NewDecoder(strings.NewReader(body))
	if err := d.Decode(&answer); err != nil || status != http.StatusOK || len(answer.AuthorizationData) != 1 || answer.AuthorizationData[0].ExpiresAt < 1e9 {
		t.Fatalf("%d %s: %v", status, body, err)
	}
	// A timestamp is never an integer, which some decoders take for another type.
	if !regexp.MustCompile(`"expiresAt":[0-9]+\.[0-9]+[,}]`).MatchString(body) {
		t.Errorf("expiresAt has no fraction: %s", body)
	}
	// ECR takes no form, with or without a target.
	const form = "Action=GetAuthorizationToken&Version=2015-09-21"
	for _, header := range []http.Header{{"Content-Type": {"application/x-www-form-urlencoded"}}, header} {
		if status, body := g.signed("ecr", http.MethodPost, "/", form, header); status != http.StatusBadRequest || strings.Contains(body, "authorizationToken") {
			t.Errorf("a form with %v was answered with %d %s", header, status, body)
		}
	}
	for _, bad := range []string{"{} {}", "[]", `{"registryIds":"x"}`, `{"registryIds":["1"`, "\xff"} {
		if status, body := g.signed("ecr", http.MethodPost, "/", bad, header); status != http.StatusBadRequest || !strings.Contains(body, "Exception") {
			t.Errorf("%q was answered with %d %s", bad, status, body)
		}
	}
}

func TestSeed18BasicHeaderAsItIs(t *testing.T) {
	g := newFixture(t)
	g.repositories(account, "acme")
	token := g.run("", "aws2", "ecr", "get-authorization-token", "--query", "authorizationData[0].authorizationToken", "--output", "text")
	said := g.run("", "curl", "-sf", "-H", "Authorization: Basic "+strings.TrimSpace(token), g.url+"/v2/app/tags/list")
	if !strings.Contains(said, `"name":"app"`) {
		t.Errorf("curl got %s", said)
	}
}
