# frozen_string_literal: true

module Irmgard
  # Whose log a file is, by its path: `…/<namespace>_<pod>_<uid>/<container>/0.log`.
  PodFile = Struct.new(:namespace, :pod, :uid, :container, :path) do
    # A name of a namespace, a pod or a container has no underscore.
    const_set(:LAYOUT, %r{/([^/_]+)_([^/_]+)_([^/_]+)/([^/]+)/[^/]+\z})

    # A file that is not laid out like this has only its path.
    def self.at(path)
      match = self::LAYOUT.match(path)
      match ? new(*match.captures, path) : new(nil, nil, nil, nil, path)
    end

    # The container, whichever of its files this is.
    def key
      uid ? File.dirname(path) : path
    end

    # What goes before time and text where an id is made.
    def identity
      uid ? "#{uid}\0#{container}\0" : "#{path}\0\0"
    end
  end
end
