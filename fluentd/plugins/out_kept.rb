# frozen_string_literal: true

require 'fileutils'
require 'fluent/plugin/output'
require_relative 'irmgard/json_line'

module Fluent
  module Plugin
    # The secondary of the output to OpenSearch: keeps a chunk that could not be sent as a file of JSON lines, which can be
    # sent again as the dead letters can. (secondary_file keeps MessagePack, which nothing here reads.)
    class KeptOutput < Output
      Fluent::Plugin.register_output('kept', self)

      desc 'Where the files are kept'
      config_param :directory, :string

      def configure(conf)
        super
        raise ConfigError, 'kept is for a <secondary> section' unless @as_secondary
      end

      def multi_workers_ready?
        true
      end

      # Whole or not at all, under the chunk's name: a second try replaces the file.
      def write(chunk)
        FileUtils.mkdir_p(@directory)
        path = File.join(@directory, "#{dump_unique_id_hex(chunk.unique_id)}.log")
        lines = write_lines("#{path}.part", chunk)
        File.rename("#{path}.part", path)
        log.error 'lines could not be sent for too long and are kept in a file', path: path, lines: lines
      end

      private

      def write_lines(path, chunk)
        lines = 0
        File.open(path, 'wb') do |file|
          chunk.each do |_time, record|
            file.write(JSON.generate(record, max_nesting: 0), "\n")
            lines += 1
          end
          file.fsync
        end
        lines
      end
    end
  end
end
