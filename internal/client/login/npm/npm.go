// Package npm logs in npm. .npmrc has the token or a reference to an
// environment variable, since npm cannot ask a helper.
//
// Login writes what `aws codeartifact login --tool npm` writes, for any number
// of scopes. pnpm, Yarn 1 and bun read the same file.
package npm

import (
	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/npmrc"
)

// Tool is npm.
func Tool() login.Tool {
	return login.Tool{
		Name: "npm", Format: "npm", Programs: []string{"npm"}, Secret: login.StoredOrEnv,
		Edits: edits, Addresses: npmrc.Addresses,
		Next: func(t login.Target) string { return npmrc.Next(t, "npm install PACKAGE") },
	}
}

func edits(t login.Target, p login.Environment) ([]login.Edit, error) {
	path, err := npmrc.Path(p)
	if err != nil {
		return nil, err
	}
	token, mode := npmrc.Token(t)
	edit, err := npmrc.Edit(path, mode, t, token)
	return []login.Edit{edit}, err
}
