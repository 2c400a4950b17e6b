# Has gem install from the sources that the environment names, for the command
# that gatehouse runs: gem has no variable of its own for them.
sources = ENV.fetch("GATEHOUSE_GEM_SOURCES", "").split
Gem.sources = sources unless sources.empty?
