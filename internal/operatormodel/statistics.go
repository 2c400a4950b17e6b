package operatormodel

import "time"

// A RepositoryName names a package repository. Inputs embed it.
type RepositoryName struct {
	Domain string `json:"domain" wire:"required,min=1,max=50"`
	// DomainOwner is the account that owns the domain; the default is the caller's.
	DomainOwner *string `json:"domainOwner" pattern:"[0-9]{12}"`
	Repository  string  `json:"repository" wire:"required,min=1,max=100"`
}

// ListPackageStatisticsInput asks for one page of the downloads from a repository: of its
// packages or, with Format and Package, of the versions of one package.
type ListPackageStatisticsInput struct {
	RepositoryName
	Format    *string `json:"format" wire:"min=1,max=20"`
	Namespace *string `json:"namespace" wire:"min=1,max=255"`
	Package   *string `json:"package" wire:"min=1,max=255"`
	// MaxResults is the length of the page; the default is 100.
	MaxResults *int32  `json:"maxResults" wire:"min=1,max=1000"`
	NextToken  *string `json:"nextToken" wire:"min=1,max=4096"`
}

// ListPackageStatisticsOutput has packages in the order of their names or, if a package
// was named, its versions.
type ListPackageStatisticsOutput struct {
	Packages  []PackageStatistics `json:"packages,omitempty"`
	Versions  []VersionStatistics `json:"versions,omitempty"`
	NextToken *string             `json:"nextToken,omitempty"` // nil after the last page
}

// PackageStatistics are the downloads of all versions of a package.
type PackageStatistics struct {
	Format    string  `json:"format"`
	Namespace *string `json:"namespace,omitempty"`
	Package   string  `json:"package"`
	// VersionCount is the number of versions, in every status.
	VersionCount int64 `json:"versionCount"`
	Downloads    int64 `json:"downloads"`
	// LastDownloadAt is nil if there was none.
	LastDownloadAt *time.Time `json:"lastDownloadAt,omitempty"`
}

// VersionStatistics are the downloads of a version.
type VersionStatistics struct {
	Version     string    `json:"version"`
	Status      string    `json:"status"`
	PublishedAt time.Time `json:"publishedAt"`
	Downloads   int64     `json:"downloads"`
	// LastDownloadAt is nil if there was none.
	LastDownloadAt *time.Time `json:"lastDownloadAt,omitempty"`
}
