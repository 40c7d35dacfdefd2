# frozen_string_literal: true

require 'fileutils'
require 'msgpack'
require_relative 'container'
require_relative 'pod_file'

module Irmgard
  # From the lines of the pods' files to the lines that programs wrote: parts and stack traces joined, each with its id.
  #
  # What is held is written to a directory before the batch of lines counts as read, so that a kill -9 loses none of it.
  class Joiner
    # Seconds that a process gives itself to find again the files of what the one before it held.
    RESTORED_SECONDS = 30
    # Containers that are remembered; a node has far fewer at a time.
    MAX_CONTAINERS = 10_000

    def initialize(directory)
      @directory = directory
      @containers = {}
      @stored = {}
      @last_flush = monotonic
      FileUtils.mkdir_p(directory)
      Dir.children(directory).sort.each { |name| restore(name) }
    end

    # Takes lines of one file that were read together, and has the records that are complete with them made safe by the
    # block. When it raises, nothing has happened: the lines may come again.
    def batch(path, lines)
      file = PodFile.at(path)
      container = container_of(file)
      before = container.state unless container.idle?
      records = []
      lines.each { |bytes| container.add(bytes, monotonic) { |record| records << record } }
      yield records
      store(file.key, container) if container.end_batch
    rescue StandardError
      before ? container.restore(before, monotonic) : @containers.delete(file.key)
      raise
    end

    # Gives away what was held for too long. To be called more often than once a second.
    def flush
      now = monotonic
      # The output was blocked meanwhile, and so was the reading: what is held may well go on.
      @containers.each_value { |container| container.touch(now) } if now - @last_flush > Container::PARTS_SECONDS / 2.0
      @containers.each do |key, container|
        flush_container(key, container, now) { |records| yield records } unless container.idle?
      end
      @last_flush = monotonic
    end

    private

    def monotonic
      Process.clock_gettime(Process::CLOCK_MONOTONIC)
    end

    def container_of(file)
      @containers.delete_if { |_, container| container.idle? } if @containers.size >= MAX_CONTAINERS
      @containers[file.key] ||= Container.new(file)
    end

    def flush_container(key, container, now)
      before = container.state
      records = []
      changed = container.flush(now) { |record| records << record }
      yield records unless records.empty?
      store(key, container) if changed
    rescue StandardError
      container.restore(before, now)
      raise
    end

    def store(key, container)
      path = File.join(@directory, Digest::SHA256.hexdigest(key))
      return FileUtils.rm_f(path) if container.idle?

      File.binwrite("#{path}.new", MessagePack.pack([key, container.state]))
      File.rename("#{path}.new", path)
    end

    def restore(name)
      path = File.join(@directory, name)
      return File.delete(path) if name.end_with?('.new')

      key, state = MessagePack.unpack(File.binread(path))
      @containers[key] = Container.restored(state, monotonic + RESTORED_SECONDS)
    rescue MessagePack::UnpackError, EOFError
      # Written by a machine that went down meanwhile. Better without it than not at all.
      File.delete(path)
    end
  end
end
