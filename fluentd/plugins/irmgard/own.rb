# frozen_string_literal: true

require_relative 'clock'
require_relative 'document'
require_relative 'level'
require_relative 'schema'

module Irmgard
  # Lines of our own programs: all fields are taken, and what would contradict the schema (and get the line rejected)
  # goes to `fields`.
  class Own
    KUBERNETES = 'kubernetes'
    # What the way of the line tells, not the line.
    SHIPPERS = %w[tags event.id event.ingested log.iostream].freeze

    # Fields of which nothing has to be asked but their kind.
    PLAIN = Schema::FIELDS.keys.reject do |name|
      SHIPPERS.include?(name) || %w[@timestamp component fields].include?(name) || name.start_with?('kubernetes.')
    end.to_set.freeze

    def self.line?(object)
      Level::ALL.include?(object['level']) && object['message'].is_a?(String) && object['@timestamp'].is_a?(String)
    end

    def self.read(object)
      document = Document.new
      own = new(document)
      # Sorted, so that of two names for one place the same wins everywhere.
      object.sort.each { |name, value| own.member(name, value) }
      document
    end

    def initialize(document)
      @document = document
    end

    # One member under its dotted name from the top. What it says of its pod does not count.
    def member(name, value)
      # Nearly all, and nothing of the rest applies to them.
      return @document.set(name, value) if PLAIN.include?(name) && !value.is_a?(Hash)
      return object(name, value) if value.is_a?(Hash) && name != KUBERNETES && Schema::OBJECTS.include?(name)

      return if of_pod?(name)
      return timestamp(value) if name == '@timestamp'
      return @document.other(without_blanks(name), value) if name.empty? || name.split('.', -1).any? { |part| Flat.blank?(part) }
      return @document.other(name, value) if name.start_with?('_')
      return @document.other(name.delete_prefix('fields.'), value) if name.start_with?('fields.')
      return @document.contradicting(name, value) if SHIPPERS.include?(name) || Schema.within_value?(name)

      value.is_a?(Hash) ? object(name, value) : scalar(name, value)
    end

    private

    def of_pod?(name)
      name == 'component' || name == KUBERNETES || name.start_with?('kubernetes.')
    end

    def timestamp(value)
      time = Clock.utc(value)
      time ? @document.own('@timestamp', time) : @document.contradicting('@timestamp', value)
    end

    # A name that OpenSearch would refuse, as one that it takes.
    def without_blanks(name)
      return '_' if name.empty?

      name.split('.', -1).map { |part| Flat.blank?(part) ? '_' : part }.join('_')
    end

    def object(name, value)
      if Schema::OBJECTS.include?(name)
        value.sort.each { |inner, member| member("#{name}.#{inner}", member) }
      elsif name == 'fields'
        Flat.sorted(value).each { |inner, member| @document.other(inner, member) }
      elsif Schema::FIELDS.key?(name)
        @document.contradicting(name, value)
      else
        @document.place(name, value)
      end
    end

    def scalar(name, value)
      if Schema::FIELDS.key?(name)
        @document.set(name, value)
      elsif Schema::OBJECTS.include?(name)
        @document.contradicting(name, value)
      else
        @document.place(name, value)
      end
    end
  end
end
