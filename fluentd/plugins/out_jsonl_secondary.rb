# frozen_string_literal: true

require 'fileutils'
require 'fluent/plugin/output'
require_relative 'irmgard/document'

module Fluent
  module Plugin
    # The secondary output for OpenSearch. Writes a chunk that could not be sent to a file of JSON lines, which can be
    # sent again like dead letters. (secondary_file writes MessagePack, which nothing here reads.)
    class JsonlSecondaryOutput < Output
      Fluent::Plugin.register_output('jsonl_secondary', self)

      desc 'Folder for the files'
      config_param :directory, :string

      def configure(conf)
        super
        raise ConfigError, 'jsonl_secondary is for a <secondary> section' unless @as_secondary
      end

      def multi_workers_ready?
        true
      end

      # Writes the file atomically. Its name is the chunk's id, so a retry replaces the file.
      def write(chunk)
        FileUtils.mkdir_p(@directory)
        path = File.join(@directory, "#{dump_unique_id_hex(chunk.unique_id)}.log")
        lines = write_lines("#{path}.part", chunk)
        File.rename("#{path}.part", path)
        log.error 'lines could not be sent in time and were written to a file', path: path, lines: lines
      end

      private

      def write_lines(path, chunk)
        lines = 0
        File.open(path, 'wb') do |file|
          chunk.each do |_time, record|
            file.write(Irmgard::Document.line(chunk.metadata.tag, record), "\n")
            lines += 1
          end
          file.fsync
        end
        lines
      end
    end
  end
end
