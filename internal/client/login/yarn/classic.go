package yarn

import (
	"github.com/gatehouse-registry/gatehouse/internal/client/login"
	"github.com/gatehouse-registry/gatehouse/internal/client/login/npmrc"
)

// Classic is Yarn 1, which reads .npmrc as npm does, and cannot ask a helper.
//
// It sends a token for packages without a scope only if the registry has
// always-auth. If .npmrc refers to a variable that is not set, it does nothing
// at all, for any registry.
func Classic() login.Tool {
	return login.Tool{
		Name: "yarn1", Format: "npm", Programs: []string{"yarn", "yarnpkg"}, Secret: login.StoredOrEnv,
		Edits: classic, Addresses: npmrc.Addresses,
		Next: func(t login.Target) string { return npmrc.Next(t, "yarn add PACKAGE") },
	}
}

func classic(t login.Target, p login.Environment) ([]login.Edit, error) {
	path, err := npmrc.Path(p)
	if err != nil {
		return nil, err
	}
	token, mode := npmrc.Token(t)
	edit, err := npmrc.Edit(path, mode, t, token, npmrc.Setting{Name: "always-auth", Value: "true"})
	return []login.Edit{edit}, err
}
