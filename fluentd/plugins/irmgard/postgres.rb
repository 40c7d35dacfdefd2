# frozen_string_literal: true

require_relative 'clock'
require_relative 'document'

module Irmgard
  # PostgreSQL's jsonlog (its documentation, section 19.8.3.2).
  module Postgres
    LEVELS = {
      'DEBUG1' => 'debug', 'DEBUG2' => 'debug', 'DEBUG3' => 'debug', 'DEBUG4' => 'debug', 'DEBUG5' => 'debug',
      'LOG' => 'info', 'INFO' => 'info', 'NOTICE' => 'info', 'WARNING' => 'warn',
      'ERROR' => 'error', 'FATAL' => 'error', 'PANIC' => 'error'
    }.freeze
    # What has a place, by PostgreSQL's name.
    PLACES = {
      'message' => 'message', 'error_severity' => 'postgresql.severity', 'dbname' => 'db.namespace',
      'state_code' => 'db.response.status_code', 'statement' => 'db.query.text', 'pid' => 'process.pid',
      'remote_host' => 'client.address', 'remote_port' => 'client.port', 'user' => 'postgresql.user',
      'application_name' => 'postgresql.application_name', 'backend_type' => 'postgresql.backend_type',
      'session_id' => 'postgresql.session_id', 'line_num' => 'postgresql.line_number',
      'query_id' => 'postgresql.query_id', 'detail' => 'postgresql.detail', 'hint' => 'postgresql.hint',
      'context' => 'postgresql.context', 'internal_query' => 'postgresql.internal_query', 'ps' => 'postgresql.ps',
      'vxid' => 'postgresql.virtual_transaction_id', 'txid' => 'postgresql.transaction_id'
    }.freeze
    # Numbers that say nothing when they are 0.
    NONE_IF_ZERO = %w[query_id txid].freeze
    SUCCESS = '00000'
    DURATION = /\Aduration: (\d+(?:\.\d+)?) ms(?:  (?:statement|(?:execute|parse|bind) .*?): (.*))?\z/m
    TRACE = /\Airmgard (?!0{32})([0-9a-f]{32})\z/

    module_function

    def line?(object)
      %w[timestamp error_severity message].all? { |name| object[name].is_a?(String) }
    end

    def read(object)
      document = Document.new
      document.own('db', { 'system' => { 'name' => 'postgresql' } })
      document.set('level', LEVELS[object['error_severity']])
      time = Clock.utc(object['timestamp'].sub(/ (?:UTC|GMT)\z/, 'Z'))
      document.own('@timestamp', time) if time
      Flat.sorted(object).each { |name, value| member(document, name, value) unless time && name == 'timestamp' }
      duration(document, object)
      application = object['application_name']
      document.set('trace_id', TRACE.match(application)&.[](1)) if application.is_a?(String)
      document
    end

    def member(document, name, value)
      return if value.nil? || (value == '' && name != 'message')
      return if value == 0 && (NONE_IF_ZERO.include?(name) || !PLACES.key?(name))
      return if name == 'state_code' && value == SUCCESS

      PLACES.key?(name) ? document.set(PLACES[name], value) : document.other(name, value)
    end

    def duration(document, object)
      match = DURATION.match(object['message'])
      return unless match

      # Not divided: 6.935 ms are 0.006935 s.
      document.set('duration_seconds', Float("#{match[1]}e-3"))
      document.set('db.query.text', match[2]) unless match[2].to_s.empty? || !object['statement'].to_s.empty?
    end
  end
end
