package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/gatehouse-registry/gatehouse/internal/operatormodel"
	"github.com/gatehouse-registry/gatehouse/internal/server/app"
	"github.com/gatehouse-registry/gatehouse/internal/server/config"
	"github.com/gatehouse-registry/gatehouse/internal/server/keys"
	"github.com/gatehouse-registry/gatehouse/internal/server/token"
)

type keysCommand struct {
	List   keysListCommand   `cmd:"" help:"Show the keys of the keyring, and which servers have loaded them."`
	Rotate keysRotateCommand `cmd:"" help:"Make a new key active, without ending what the former one sealed."`
	Retire keysRetireCommand `cmd:"" help:"End what a key sealed."`
	Wrap   keysWrapCommand   `cmd:"" help:"Encrypt the stored keyring of a stopped server."`
	Unwrap keysUnwrapCommand `cmd:"" help:"Store the keyring of a stopped server without encryption."`
	Rewrap keysRewrapCommand `cmd:"" help:"Encrypt the stored keyring with another key or command."`
}

// keyringFlags choose a keyring without asking a running server.
type keyringFlags struct {
	Config     string `placeholder:"FILE" help:"Work on the keyring that a configuration names. Its server must be stopped."`
	Data       string `placeholder:"DIR" help:"Work on the keyring in a data folder. Its server must be stopped."`
	File       string `placeholder:"FILE" help:"Work on a keyring file that stands alone, one step of a rotation at a time."`
	storeFlags `embed:""`
}

// offline reports whether one of the flags is set.
func (f keyringFlags) offline() bool { return f.Config != "" || f.Data != "" || f.File != "" }

func (f keyringFlags) load() (*config.Config, error) {
	c, err := (&serveCommand{Config: f.Config, Data: f.Data, Database: f.Database, Blobs: f.Blobs}).config()
	if err == nil && f.File != "" && f.Data != "" {
		err = usageError{errors.New("--file and --data name two keyrings: choose one")}
	}
	return c, err
}

// open opens the keyring that the flags name.
func (f keyringFlags) open(ctx context.Context, c *config.Config) (*app.StoredKeyring, error) {
	if f.File != "" {
		return app.OpenKeyringFile(c, f.File)
	}
	return app.OpenStoredKeyring(ctx, c)
}

// use calls fn with the keyring that the flags name.
func (f keyringFlags) use(ctx context.Context, fn func(*app.StoredKeyring) error) (err error) {
	c, err := f.load()
	if err != nil {
		return err
	}
	k, err := f.open(ctx, c)
	if errors.Is(err, app.ErrDataInUse) {
		return fmt.Errorf("%w: %s; leave out --data and --config to ask the running server (list, rotate, retire), or stop it first", app.ErrDataInUse, c.Data)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, k.Close()) }()
	return fn(k)
}

type keysListCommand struct {
	outputFlag
	awsFlags
	keyringFlags
	AccessKeys bool `help:"Also list the access keys that depend on each key."`
}

// Help is what --help shows below the flags.
func (keysListCommand) Help() string {
	return `The states of a key: active seals new tokens; verify-only opens tokens and seals none; retired opens none. In every state the access keys that were created under it keep their secrets.

A running server is asked with AWS credentials, which need gatehouse:ListKeys in the installation's first account. With --data, --config or --file, the stored keyring is read.

Examples:

  gatehouse keys list
  gatehouse keys list --access-keys --output json
  gatehouse keys list --data /var/lib/gatehouse`
}

// Run prints a line for each key and each server.
func (c *keysListCommand) Run(ctx context.Context, stdout io.Writer, now clock) error {
	if !c.offline() {
		client, err := c.operator(ctx, now)
		if err != nil {
			return err
		}
		l, err := client.ListKeys(ctx, &operatormodel.ListKeysInput{})
		if err != nil {
			return client.explain(err)
		}
		return c.print(stdout, l, true)
	}
	return c.use(ctx, func(k *app.StoredKeyring) error {
		content, err := k.Keys(ctx)
		if err != nil {
			return err
		}
		return c.print(stdout, storedListing(k, content), false)
	})
}

// storedListing is what is known of a keyring without a server.
func storedListing(k *app.StoredKeyring, content *token.Keys) *operatormodel.ListKeysOutput {
	l := &operatormodel.ListKeysOutput{Location: k.Store.String(), Wrapped: k.Codec.Wrapper != nil, Revision: content.Revision(), Servers: []operatormodel.KeyringServer{}}
	for _, key := range content.List() {
		l.Keys = append(l.Keys, operatormodel.Key{
			KeyID: key.ID, State: string(key.State), CreatedAt: key.Created, ActivatedAt: optionalTime(key.Activated), DeactivatedAt: optionalTime(key.Deactivated),
			RetirableAt: optionalTime(key.OpensUntil()), AccessKeys: []operatormodel.KeyAccessKey{},
		})
	}
	return l
}

func optionalTime(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// print prints a listing. counted says whether the access keys are known.
func (c *keysListCommand) print(stdout io.Writer, l *operatormodel.ListKeysOutput, counted bool) error {
	if c.Output == outputJSON {
		return printJSON(stdout, l)
	}
	wrapped := "not wrapped"
	if l.Wrapped {
		wrapped = "wrapped"
	}
	fmt.Fprintf(stdout, "keyring:  %s, %s\nrevision: %d\n\n", l.Location, wrapped, l.Revision)
	w := tabwriter.NewWriter(stdout, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "KEY\tSTATE\tCREATED\tACTIVE FROM\tTO\tRETIRABLE FROM\tACCESS KEYS")
	for _, k := range l.Keys {
		count := "unknown"
		if counted {
			count = fmt.Sprint(k.AccessKeyCount)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.KeyID, k.State, minute(&k.CreatedAt), minute(k.ActivatedAt), minute(k.DeactivatedAt), minute(k.RetirableAt), count)
	}
	if len(l.Servers) > 0 {
		fmt.Fprintln(w, "\nSERVER\tHOST\tREVISION\tLAST REPORT")
		for _, s := range l.Servers {
			fmt.Fprintf(w, "%s\t%s\t%d\t%s\n", s.ServerID, s.Host, s.Revision, minute(&s.SeenAt))
		}
	}
	if c.AccessKeys {
		fmt.Fprintln(w, "\nACCESS KEY\tKEY\tACCOUNT\tUSER\tACTIVE")
		for _, k := range l.Keys {
			for _, a := range k.AccessKeys {
				user := a.UserName
				if user == "" {
					user = "(root)"
				}
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%t\n", a.AccessKeyID, k.KeyID, a.Account, user, a.Active)
			}
		}
	}
	return w.Flush()
}

func minute(t *time.Time) string {
	if t == nil {
		return "-"
	}
	return t.UTC().Format("2006-01-02 15:04Z")
}

type keysRotateCommand struct {
	outputFlag
	awsFlags
	keyringFlags
	Print bool `help:"With --file: print the next stage instead of replacing the file."`
}

// Help is what --help shows below the flags.
func (keysRotateCommand) Help() string {
	return `A new key is made verify-only, and active when every running server has loaded it. The former key becomes verify-only. No token, session or access key ends. If the command is interrupted, or a server does not answer, call it again: it goes on.

The caller needs gatehouse:RotateKeys in the installation's first account. With --data or --config the keyring of a stopped server is rotated. With --file each call does one step, for a file that is copied or mounted into several servers: replace the file, wait until 'gatehouse keys list' shows its revision at every server, then do the next step.

Examples:

  gatehouse keys rotate
  gatehouse keys rotate --data /var/lib/gatehouse
  gatehouse keys rotate --file keyring.json --print >next.json`
}

// Run rotates through a running server, or what is stored.
func (c *keysRotateCommand) Run(ctx context.Context, stdout io.Writer, stderr messages, now clock) error {
	switch {
	case c.Print && c.File == "":
		return usageError{errors.New("--print needs --file")}
	case c.offline():
		return c.use(ctx, func(k *app.StoredKeyring) error { return c.offlineRotate(ctx, k, stdout, stderr, now) })
	}
	client, err := c.operator(ctx, now)
	if err != nil {
		return err
	}
	r, err := client.RotateKeys(ctx, &operatormodel.RotateKeysInput{})
	if err != nil {
		return client.explain(err)
	}
	return c.print(stdout, stderr, r)
}

func (c *keysRotateCommand) print(stdout io.Writer, stderr messages, r *operatormodel.RotateKeysOutput) error {
	if c.Output == outputJSON {
		if err := printJSON(stdout, r); err != nil {
			return err
		}
	} else if r.Done {
		fmt.Fprintf(stdout, "key %s is active since revision %d\nkey %s is verify-only\n", r.NewKeyID, r.Revision, r.FormerKeyID)
		if r.RetirableAt != nil {
			fmt.Fprintf(stdout, "after %s: gatehouse keys retire %s\n", minute(r.RetirableAt), r.FormerKeyID)
		}
	} else {
		fmt.Fprintf(stdout, "key %s is verify-only, and %s is still active\n", r.NewKeyID, r.FormerKeyID)
	}
	for _, s := range r.ServersBehind {
		fmt.Fprintf(stderr, "gatehouse: server %s has not loaded revision %d\n", s, r.Revision)
	}
	if r.Done {
		return nil
	}
	fmt.Fprintln(stderr, "gatehouse: the rotation is not finished: see the logs of these servers, stop them or make them load the keyring, and call gatehouse keys rotate again")
	return errReported
}

// offlineRotate rotates at once, or makes one step if the keyring is a file that stands
// alone.
func (c *keysRotateCommand) offlineRotate(ctx context.Context, k *app.StoredKeyring, stdout io.Writer, stderr messages, now clock) error {
	former, err := k.Keys(ctx)
	if err != nil {
		return err
	}
	if c.File == "" {
		rotated, err := k.Rotate(ctx, now)
		if err != nil {
			return err
		}
		old := former.Active()
		key, _ := rotated.Key(old.ID)
		return c.print(stdout, stderr, &operatormodel.RotateKeysOutput{
			NewKeyID: rotated.Active().ID, FormerKeyID: old.ID, Revision: rotated.Revision(), Done: true, ServersBehind: []string{}, RetirableAt: optionalTime(key.OpensUntil()),
		})
	}
	next, err := keys.NextStep(former, now())
	if err != nil {
		return err
	}
	report := stdout
	if c.Print {
		text, err := k.Codec.Encode(ctx, next)
		if err != nil {
			return err
		}
		if _, err := stdout.Write(text); err != nil {
			return err
		}
		report = stderr
	} else if err := k.Replace(ctx, former, next); err != nil {
		return err
	}
	if key, staged := next.Staged(); staged {
		fmt.Fprintf(report, "revision %d: key %s is verify-only. When 'gatehouse keys list' shows revision %d at every server, rotate again to make it active\n", next.Revision(), key.ID, next.Revision())
		return nil
	}
	old, _ := next.Key(former.Active().ID)
	until := old.OpensUntil()
	fmt.Fprintf(report, "revision %d: key %s is active, and key %s verify-only. After %s: gatehouse keys retire --file %s %s\n", next.Revision(), next.Active().ID, old.ID, minute(&until), c.File, old.ID)
	return nil
}

type keysRetireCommand struct {
	outputFlag
	awsFlags
	keyringFlags
	Key         string `arg:"" help:"The id of the key: 8 hexadecimal digits."`
	EndSessions string `placeholder:"KEY" help:"The id of the key again: end the sessions and tokens that it sealed and that are still good."`
}

// Help is what --help shows below the flags.
func (keysRetireCommand) Help() string {
	return `A retired key opens nothing any more. The command refuses while a session or a token that the key sealed can be good, which is 36 hours after another key became active; --end-sessions ends them, and everyone has to log in again. Access keys go on working.

The caller needs gatehouse:RetireKey in the installation's first account. With --data or --config the keyring of a stopped server is changed, and with --file a file that stands alone.

Examples:

  gatehouse keys retire 0a1b2c3d
  gatehouse keys retire 0a1b2c3d --end-sessions 0a1b2c3d`
}

// Run retires a key through a running server, or in what is stored.
func (c *keysRetireCommand) Run(ctx context.Context, stdout io.Writer, now clock) error {
	if c.EndSessions != "" && c.EndSessions != c.Key {
		return usageError{fmt.Errorf("--end-sessions is %q: to end the sessions of key %s, it must be that key's id", c.EndSessions, c.Key)}
	}
	if c.offline() {
		return c.use(ctx, func(k *app.StoredKeyring) error {
			if _, err := k.Retire(ctx, c.Key, c.EndSessions != "", now); err != nil {
				return err
			}
			return c.print(stdout)
		})
	}
	client, err := c.operator(ctx, now)
	if err != nil {
		return err
	}
	in := &operatormodel.RetireKeyInput{KeyID: c.Key}
	if c.EndSessions != "" {
		in.EndSessions = &c.EndSessions
	}
	out, err := client.RetireKey(ctx, in)
	switch {
	case err != nil:
		return client.explain(err)
	case c.Output == outputJSON:
		return printJSON(stdout, out)
	}
	return c.print(stdout)
}

func (c *keysRetireCommand) print(stdout io.Writer) error {
	if c.Output == outputJSON {
		return printJSON(stdout, map[string]string{"keyId": c.Key, "state": string(token.Retired)})
	}
	_, err := fmt.Fprintf(stdout, "key %s is retired\n", c.Key)
	return err
}
