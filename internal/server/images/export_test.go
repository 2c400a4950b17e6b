package images

import "context"

// UploadUsers returns how many requests write to an upload or wait for it.
func (s *Service) UploadUsers(uploadID string) int {
	s.uploading.mu.Lock()
	defer s.uploading.mu.Unlock()
	if l := s.uploading.keys[uploadID]; l != nil {
		return l.users
	}
	return 0
}

// CompiledPolicy returns the compiled policy of a repository.
func (s *Service) CompiledPolicy(id RepositoryID) any { return s.repositories.get(id).policies[0] }

// SetMaxPlanned sets how many images a lifecycle run has in memory.
func (s *Service) SetMaxPlanned(n int) { s.maxPlanned = n }

// CreateForCause creates a repository as a pull-through cache or replication does.
func (s *Service) CreateForCause(ctx context.Context, id RepositoryID, cause Cause) (*Repository, error) {
	return s.createForCause(ctx, id, cause)
}
