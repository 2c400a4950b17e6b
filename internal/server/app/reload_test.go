package app_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/ecr"
	"github.com/aws/aws-sdk-go-v2/service/sts"

	"github.com/gatehouse-registry/gatehouse/internal/server/app"
	"github.com/gatehouse-registry/gatehouse/internal/server/config"
)

// A reloading is a server whose configuration file changes.
type reloading struct {
	*declaredServer
	file    string
	server  *app.Server
	signals chan os.Signal
}

func (r *reloading) load() (*config.Config, error) {
	c := config.Default()
	if err := c.Read(r.file); err != nil {
		return nil, err
	}
	c.Data, c.Listen = r.data, "127.0.0.1:0"
	return c, c.Validate()
}

func startReloading(t *testing.T, text string) *reloading {
	t.Helper()
	r := &reloading{declaredServer: newDeclaredServer(t), signals: make(chan os.Signal)}
	r.file, r.log = filepath.Join(r.dir, "gatehouse.yaml"), new(buffer)
	r.write(text)
	c := must(r.load())(t)
	ctx, cancel := context.WithCancel(context.Background())
	s, err := app.Start(ctx, c, app.WithLog(r.log))
	if err != nil {
		cancel()
		t.Fatal(err)
	}
	r.server = s
	s.ReloadOn(r.signals, r.load, r.file)
	t.Cleanup(func() {
		cancel()
		if err := s.Wait(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func (r *reloading) write(text string) {
	r.t.Helper()
	// Replaced at once, as by a tool: a part of a file is not a configuration.
	if err := os.WriteFile(r.file+".new", []byte(text), 0o600); err != nil {
		r.t.Fatal(err)
	}
	if err := os.Rename(r.file+".new", r.file); err != nil {
		r.t.Fatal(err)
	}
}

// hangup asks for a reload by signal and returns when it is done: the second signal
// is received only then.
func (r *reloading) hangup() {
	r.signals <- syscall.SIGHUP
	r.signals <- syscall.SIGHUP
}

const reloadable = `
accounts: ["000000000002"]
log: {level: info}
iam:
  users:
    alice: {access_keys: [ci], policies: [AmazonEC2ContainerRegistryFullAccess]}
`

func TestServer_ReloadOnSignal(t *testing.T) {
	r := startReloading(t, reloadable)
	ctx, alice := t.Context(), r.profile("gatehouse/alice/ci")
	create := func(name string) error {
		_, err := ecr.NewFromConfig(alice).CreateRepository(ctx, &ecr.CreateRepositoryInput{RepositoryName: &name})
		return err
	}
	if err := create("first"); err != nil {
		t.Fatal(err)
	}
	// A guardrail, and another identity.
	r.write(reloadable + "    bob: {access_keys: [ci]}\nguardrail: {Version: \"2012-10-17\", Statement: [{Effect: Allow, Action: \"*\", Resource: \"*\"}, {Effect: Deny, Action: \"ecr:CreateRepository\", Resource: \"*\"}]}\n")
	r.hangup()
	refused(t, "what the new guardrail denies", create("second"), "AccessDenied")
	if id := must(sts.NewFromConfig(r.profile("gatehouse/bob/ci")).GetCallerIdentity(ctx, nil))(t); !strings.HasSuffix(*id.Arn, "user/bob") {
		t.Error(*id.Arn)
	}
	// A bad file changes nothing and says why.
	for _, bad := range []string{
		"iam: {users: {}}\nlog: {level: loud}\n", "iam: [\n", "nonsense: true\n",
		strings.Replace(reloadable, "alice:", "al ice:", 1), strings.Replace(reloadable, "AmazonEC2ContainerRegistryFullAccess", "Missing", 1),
	} {
		r.write(bad)
		r.hangup()
		if err := create("second"); err == nil {
			t.Errorf("the guardrail has gone with %q", bad)
		}
		if _, err := sts.NewFromConfig(r.profile("gatehouse/bob/ci")).GetCallerIdentity(ctx, nil); err != nil {
			t.Errorf("bob has gone with %q: %v", bad, err)
		}
	}
	// Back again, with a setting that needs a restart.
	r.write(reloadable + "region: eu-west-1\n")
	r.hangup()
	if err := create("second"); err != nil {
		t.Error(err)
	}
	if _, err := sts.NewFromConfig(alice).GetCallerIdentity(ctx, nil); err != nil {
		t.Error(err)
	}
	r.flush()
	log := r.log.String()
	if n := strings.Count(log, "was not reloaded; nothing has changed"); n < 5 {
		t.Errorf("%d of 5 bad files were reported: %s", n, log)
	}
	if !strings.Contains(log, "settings=region") || strings.Contains(log, "settings=iam") {
		t.Errorf("what needs a restart is not named: %s", log)
	}
}

// flush waits until the log, which is written in batches, has what was logged.
func (r *reloading) flush() {
	r.t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if strings.Contains(r.log.String(), "settings=region") {
			return
		}
	}
}

// A setting that needs a restart is named by each reload until the file says again
// what the server runs with.
func TestServer_ReloadNamesPendingRestart(t *testing.T) {
	r := startReloading(t, "region: us-east-1\n")
	for _, text := range []string{"region: eu-west-1\n", "region: eu-west-1\nlog: {level: debug}\n", "region: us-east-1\nlog: {level: warn}\n"} {
		r.write(text)
		r.hangup()
	}
	// The last reload warns of log.format, so all lines before are there too.
	r.write("log: {format: json}\n")
	r.hangup()
	if n := strings.Count(r.waitLog("settings=log.format"), "settings=region"); n < 3 || n > 4 {
		// hangup reloads twice, and the second time may read the next text already.
		t.Errorf("%d of 6 reloads named the region, which differed in 3 or 4: %s", n, r.log)
	}
}

func TestServer_ReloadLogLevel(t *testing.T) {
	r := startReloading(t, "log: {level: error}\n")
	r.write("log: {level: info}\n")
	r.hangup()
	if !strings.Contains(r.waitLog("configuration reloaded"), "level=INFO") {
		t.Error("the level did not change")
	}
}

func (r *reloading) waitLog(text string) string {
	r.t.Helper()
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if log := r.log.String(); strings.Contains(log, text) {
			return log
		}
	}
	r.t.Fatalf("the log never had %q: %s", text, r.log)
	return ""
}

// A renewed certificate is read without a signal; one without its key is not.
func TestServer_ReloadCertificate(t *testing.T) {
	dir := t.TempDir()
	certificate, key, _ := selfSigned(t, dir)
	r := startReloading(t, "tls: {certificate: "+certificate+", key: "+key+"}\n")
	served := func() *x509.Certificate {
		c := must(tls.Dial("tcp", strings.TrimPrefix(r.server.Address(), "https://"), &tls.Config{InsecureSkipVerify: true}))(t)
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0]
	}
	first := served()
	if err := os.WriteFile(key, []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	r.waitLog("was not reloaded; nothing has changed")
	if !served().Equal(first) {
		t.Error("the certificate changed to a broken one")
	}
	selfSigned(t, dir)
	for deadline := time.Now().Add(2 * time.Minute); served().Equal(first); {
		if time.Now().After(deadline) {
			t.Fatal("the renewed certificate is not served")
		}
	}
}
